"""Bias from samples beside the truth, and when it makes a cell invalid."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tokgate.drive.sample import Sample
from tokgate.drive.truth.scenario import Record
from tokgate.measure.bias import check_bias, compute_bias, pick_smallest
from tokgate.measure.measurement import Bias

TRUTH = Record(prompt="0", received_s=10.0, sends=[(10.1, 1), (10.2, 1), (10.3, 2)])
"""TTFT 0.1 s, then 3 tokens in 0.2 s: 15 tok/s; 4 tokens in 0.3 s in all."""

NONE = Bias(streams=4, requests=9, ttft_s=0.0, itl_s=0.0, decode_tps=0.0, output_tps=0.0)


def sample(*token_times_s: float, **changes: object) -> Sample:
    values: dict[str, Any] = {
        "index": 0,
        "prompt_id": "0",
        "asked_tokens": 4,
        "sent_s": 0.0,
        "token_times_s": token_times_s,
        "end_s": token_times_s[-1],
        "prompt_tokens": 1,
        "completion_tokens": 4,
    }
    return Sample(**(values | changes))


def test_bias_is_client_minus_truth() -> None:
    bias = compute_bias([sample(0.11, 0.2, 0.36)], [TRUTH], streams=1)
    assert bias.ttft_s == pytest.approx(0.01)
    assert bias.itl_s == pytest.approx(0.25 / 3 - 0.2 / 3)
    assert bias.decode_tps == pytest.approx((3 / 0.25) / 15 - 1)
    assert bias.output_tps == pytest.approx((4 / 0.36) / (4 / 0.3) - 1)


def test_perfect_client_has_no_bias() -> None:
    bias = compute_bias([sample(0.1, 0.2, 0.3)] * 3, [TRUTH] * 3, streams=3)
    assert (bias.ttft_s, bias.decode_tps) == pytest.approx((0, 0), abs=1e-9)
    assert check_bias(bias, {"ttft_s": 0.1}, {"ttft_s": 0.08, "decode_tps": 0.03}) == ()


def test_failed_request_is_an_error() -> None:
    """A calibration with a failed request is an error."""
    with pytest.raises(ValueError, match=r"1 of 1 calibration requests failed: .*reset"):
        compute_bias([sample(0.1, error="reset")], [TRUTH], streams=1)


def test_smallest_bias_of_all_slices() -> None:
    """Of each value the one nearest to zero counts."""
    late = msgspec.structs.replace(NONE, ttft_s=0.004, decode_tps=-0.02)
    later = msgspec.structs.replace(NONE, ttft_s=0.009, decode_tps=-0.01, output_tps=-0.3)
    assert pick_smallest([late, later]) == msgspec.structs.replace(late, requests=18, decode_tps=-0.01)


@pytest.mark.parametrize(
    ("bias", "metrics"),
    [
        ({"decode_tps": 0.031}, ["decode_tps"]),
        ({"decode_tps": -0.031}, ["decode_tps"]),
        ({"decode_tps": 0.029}, []),
        ({"output_tps": -0.05}, ["output_tps"]),
        ({"ttft_s": 0.017}, ["ttft_s", "prefill_tps"]),
        ({"ttft_s": 0.015}, []),
        ({"decode_tps": float("nan")}, ["decode_tps"]),
    ],
)
def test_bias_above_the_tolerance_is_invalid(bias: dict[str, float], metrics: list[str]) -> None:
    tolerance = {
        "decode_tps": 0.03,
        "output_tps": 0.03,
        "ttft_s": 0.08,
        "prefill_tps": 0.08,
        "goodput_rps": 0.03,
    }
    problems = check_bias(msgspec.structs.replace(NONE, **bias), {"ttft_s": 0.2}, tolerance)
    assert [problem.detail.split(":")[0] for problem in problems] == metrics
    assert {problem.rule for problem in problems} <= {"client_bias"}


def test_unknown_bias_is_invalid() -> None:
    """A bias that could not be measured is not zero."""
    [problem] = check_bias(None, {}, {"decode_tps": 0.03})
    assert problem.rule == "client_bias"
