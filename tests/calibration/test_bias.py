"""Self-calibration against a real server: a sound client has almost no bias, a wrong clock is seen."""

from __future__ import annotations

from time import perf_counter

import pytest

from tokgate.drive import wire
from tokgate.measure.bias import check_bias
from tokgate.suite.calibrate import MOST_STREAMS, measure_client_bias
from tokgate.suite.instruments import Instruments

TOLERANCE = {"decode_tps": 0.03, "output_tps": 0.03, "ttft_s": 0.08}


@pytest.mark.parametrize("streams", [1, 16, 100])
def test_bias_is_within_the_tolerances(streams: int) -> None:
    """This client is within the default tolerances."""
    bias = measure_client_bias(streams)
    assert bias is not None
    assert bias.streams == streams
    assert bias.requests >= 2 * streams
    assert check_bias(bias, {"ttft_s": 0.1}, TOLERANCE) == ()


def test_fast_clock_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "perf_counter", lambda: perf_counter() * 1.1)
    bias = measure_client_bias(4)
    assert bias is not None
    assert bias.decode_tps == pytest.approx(1 / 1.1 - 1, abs=0.01)
    assert bias.ttft_s == pytest.approx(0.01, rel=0.5)
    told = {problem.detail.split(":")[0] for problem in check_bias(bias, {"ttft_s": 0.1}, TOLERANCE)}
    assert {"decode_tps", "ttft_s"} <= told


def test_calibration_runs_once() -> None:
    """Once for each number of streams."""
    instruments = Instruments()
    assert instruments.client_bias(2) is instruments.client_bias(2)


def test_streams_above_the_maximum(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They get the bias at the maximum that one process can serve."""
    monkeypatch.setattr("tokgate.suite.calibrate.MOST_STREAMS", 3)
    bias = measure_client_bias(MOST_STREAMS)
    assert bias is not None
    assert bias.streams == 3
