"""The client's figures against what the server really did, by number of streams."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

import pytest

from tokgate.config.workload import Closed
from tokgate.drive.load import DriveResult
from tokgate.drive.truth.scenario import Record, Scenario
from tokgate.measure.metrics import decode_tps, ttft_s

Run = Callable[..., tuple[DriveResult, list[Record]]]

# Paced so that the two processes together leave most of two cores idle.
PACES = {1: (0.2, 0.01), 16: (0.2, 0.01), 100: (0.3, 0.04)}


@pytest.mark.parametrize("streams", PACES)
def test_decode_tps_and_ttft(run: Run, streams: int) -> None:
    """They are those of the truth."""
    ttft, itl = PACES[streams]
    scenario = Scenario(ttft_s=ttft, itl_s=itl, jitter=0.3)
    seen = []
    for _ in range(3):  # a busy machine may hold the client up; an error of ours is there every time
        result, records = run(scenario, requests=max(streams, 3), tokens=50, load=Closed(concurrency=streams))
        assert {sample.error for sample in result.samples} == {None}
        pairs = list(zip(result.samples, records, strict=True))
        # Ratios of pairs, so that lateness of the server itself is no error of the client.
        decode = median((decode_tps(sample) or 0) / record.decode_tps for sample, record in pairs)
        first = median((ttft_s(sample) or 0) / record.ttft_s for sample, record in pairs)
        seen.append((decode, first))
        if decode == pytest.approx(1, rel=0.005) and first == pytest.approx(1, rel=0.02):
            return
    pytest.fail(f"client / truth of decode_tps and ttft_s, three times: {seen}")


def test_slowdown(run: Run) -> None:
    """A slower launch is measured as slower by the same factor."""

    def rate(slowdown: float) -> float:
        result, _ = run(Scenario(ttft_s=0.05, itl_s=0.01, slowdown=slowdown), requests=3, tokens=60)
        return median(decode_tps(sample) or 0 for sample in result.samples)

    assert rate(1.0) / rate(1.5) == pytest.approx(1.5, rel=0.03)
