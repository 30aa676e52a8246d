"""Calibration: the client against a server whose every send is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tokgate.config.workload import Closed, Load
from tokgate.drive.client import Request, Target
from tokgate.drive.load import DriveResult, drive
from tokgate.drive.sample import Sample
from tokgate.drive.truth.process import Record, Reference, Scenario, reference_server

ONE_BY_ONE = Closed(concurrency=1)

Run = Callable[..., tuple[DriveResult, list[Record]]]


@pytest.fixture(scope="session")
def reference() -> Iterator[Reference]:
    """One reference server for all calibration tests of this worker."""
    with reference_server() as running:
        yield running


@pytest.fixture
def run(reference: Reference) -> Run:
    """Drives requests at the reference server; gives the result, and the truth in the same order."""

    def run(
        scenario: Scenario,
        *,
        requests: int = 1,
        tokens: int = 10,
        load: Load = ONE_BY_ONE,
        request_timeout_s: float = 60,
        stall_timeout_s: float = 30,
        **more: object,
    ) -> tuple[DriveResult, list[Record]]:
        reference.serve(scenario)
        reference.truth()
        asked = [
            Request(
                prompt_id=str(index),
                messages=({"role": "user", "content": f"request {index}"},),
                max_tokens=tokens,
            )
            for index in range(requests)
        ]
        result = drive(
            Target(base_url=reference.url, model="reference", engine="openai"),
            asked,
            load,
            request_timeout_s=request_timeout_s,
            stall_timeout_s=stall_timeout_s,
            seed=1,
            **more,
        )
        by_prompt = {record.prompt: record for record in reference.truth()}
        return result, [by_prompt[request.messages[0]["content"]] for request in asked]

    return run


@pytest.fixture
def one(run: Run) -> Callable[..., tuple[Sample, Record]]:
    """Drives a single request; gives its sample and the truth of it."""

    def one(scenario: Scenario, **more: object) -> tuple[Sample, Record]:
        result, [record] = run(scenario, **more)
        [sample] = result.samples
        return sample, record

    return one
