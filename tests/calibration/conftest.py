"""Calibration: the client against a server whose every send is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tokgate.config.workload import Closed, Load
from tokgate.drive.client import Endpoint, Request
from tokgate.drive.load import DriveResult, drive
from tokgate.drive.sample import Sample
from tokgate.drive.truth.process import TruthServer, start_truth_server
from tokgate.drive.truth.scenario import Record, Scenario

ONE_BY_ONE = Closed(concurrency=1)

Run = Callable[..., tuple[DriveResult, list[Record]]]


@pytest.fixture(scope="session")
def truth_server() -> Iterator[TruthServer]:
    """One ground-truth server for all calibration tests of this worker."""
    with start_truth_server() as running:
        yield running


@pytest.fixture
def run(truth_server: TruthServer) -> Run:
    """Drives requests at the ground-truth server; returns the result, and the truth in the same order."""

    def run(
        scenario: Scenario,
        *,
        requests: int = 1,
        tokens: int = 10,
        load: Load = ONE_BY_ONE,
        request_timeout_s: float = 60,
        stall_timeout_s: float = 30,
        **more: Any,
    ) -> tuple[DriveResult, list[Record]]:
        truth_server.serve(scenario)
        truth_server.truth()
        asked = [
            Request(
                prompt_id=str(index),
                messages=({"role": "user", "content": f"request {index}"},),
                max_tokens=tokens,
            )
            for index in range(requests)
        ]
        result = drive(
            Endpoint(base_url=truth_server.url, model="reference"),
            asked,
            load,
            request_timeout_s=request_timeout_s,
            stall_timeout_s=stall_timeout_s,
            seed=1,
            **more,
        )
        by_prompt = {record.prompt: record for record in truth_server.truth()}
        return result, [by_prompt[request.messages[0]["content"]] for request in asked]

    return run


@pytest.fixture
def one(run: Run) -> Callable[..., tuple[Sample, Record]]:
    """Drives a single request; returns its sample and the truth about it."""

    def one(scenario: Scenario, **more: object) -> tuple[Sample, Record]:
        result, [record] = run(scenario, **more)
        [sample] = result.samples
        return sample, record

    return one
