"""Every rule of validity finds its case, with evidence, and none finds anything in a good sample."""

from __future__ import annotations

import math

import msgspec
import pytest

from tokgate.config.workload import Workload
from tokgate.drive.sample import Sample, ServerTimings
from tokgate.measure.reconcile import check_timings
from tokgate.measure.validity import check_client, check_gated, check_samples

GOOD = Sample(
    index=3,
    prompt_id="p",
    asked_tokens=11,
    sent_s=1.0,
    first_byte_s=1.4,
    token_times_s=tuple(1.5 + 0.1 * i for i in range(11)),
    end_s=2.6,
    prompt_tokens=100,
    cached_tokens=0,
    completion_tokens=11,
    timings=ServerTimings(cache_n=0, prompt_n=100, prompt_ms=490.0, predicted_n=11, predicted_ms=1000.0),
)


def changed(**changes: object) -> Sample:
    return msgspec.structs.replace(GOOD, **changes)


def test_valid_sample() -> None:
    """A valid sample has no problems."""
    assert check_samples([GOOD]) == ()
    assert check_timings([GOOD]) == ()
    assert check_client(max_lag_s=0.001, client_cpu_s=0.1, wall_s=1.0) == ()


@pytest.mark.parametrize(
    ("changes", "rule", "evidence"),
    [
        ({"error": "HTTP 503: loading"}, "request_failed", "HTTP 503: loading"),
        ({"completion_tokens": None}, "usage_missing", "without usage"),
        ({"prompt_tokens": None}, "usage_missing", "without usage"),
        (
            {"completion_tokens": 7, "finish_reason": "stop"},
            "wrong_length",
            "requested 11 tokens, got 7 (finish_reason stop)",
        ),
        ({"completion_tokens": 12}, "wrong_length", "requested 11 tokens, got 12"),
        ({"cached_tokens": 64}, "prompt_cached", "64 of 100 prompt tokens"),
        ({"token_times_s": (1.5,)}, "no_rate", "1 token chunks"),
        ({"token_times_s": (1.5, 1.5)}, "no_rate", "all at the same time"),
        ({"first_byte_s": 0.9}, "clock_backwards", "1.000000 s is followed by 0.900000 s"),
        ({"end_s": 2.0}, "clock_backwards", "2.500000 s is followed by 2.000000 s"),
    ],
)
def test_each_rule(changes: dict[str, object], rule: str, evidence: str) -> None:
    """Each rule finds its case, and no other rule does."""
    (problem,) = check_samples([changed(**changes)])
    assert problem.rule == rule
    assert evidence in problem.detail
    assert problem.detail.startswith("request 3 (p): ")


def test_prompt_length_varies() -> None:
    """The same prompt must always have the same length."""
    (problem,) = check_samples([GOOD, changed(index=4, prompt_tokens=101)])
    assert (problem.rule, "101 prompt tokens, but 100" in problem.detail) == ("prompt_length_varies", True)


@pytest.mark.parametrize(
    ("timings", "evidence"),
    [
        ({"predicted_ms": 900.0}, "decode 10.00 tok/s by the client, 11.11 tok/s by the server"),
        ({"prompt_ms": 600.0}, "TTFT 500.0 ms by the client, prompt 600.0 ms by the server"),
        ({"predicted_n": 12, "predicted_ms": 1100.0}, "11 tokens by usage, 12 by timings"),
    ],
)
def test_client_and_server_disagree(timings: dict[str, float], evidence: str) -> None:
    assert GOOD.timings is not None
    (problem,) = check_timings([changed(timings=msgspec.structs.replace(GOOD.timings, **timings))])
    assert problem.rule == "client_server_disagree"
    assert evidence in problem.detail


def with_server_ms(index: int, predicted_ms: float) -> Sample:
    """GOOD, which the client saw decode for 1000 ms."""
    assert GOOD.timings is not None
    return changed(index=index, timings=msgspec.structs.replace(GOOD.timings, predicted_ms=predicted_ms))


def test_late_wake_ups() -> None:
    """One late wake-up is noise; one in every request is a bias."""
    once = [with_server_ms(index, 1000.0 if index else 950.0) for index in range(4)]
    always = [with_server_ms(index, 975.0) for index in range(4)]
    assert check_timings(once) == ()
    (problem,) = check_timings(always)
    assert "4 requests: decode 10.00 tok/s by the client, 10.26 tok/s by the server" in problem.detail


@pytest.mark.parametrize(("ms_apart", "problems"), [(4.0, 0), (6.0, 1)])
def test_short_streams_have_a_limit_in_time(ms_apart: float, problems: int) -> None:
    """The ends of a short stream may differ by a few milliseconds."""
    assert GOOD.timings is not None
    short = changed(
        token_times_s=tuple(1.5 + 0.01 * i for i in range(11)),
        end_s=1.6,
        timings=msgspec.structs.replace(GOOD.timings, predicted_ms=100.0 - ms_apart),
    )
    assert len(check_timings([short])) == problems


@pytest.mark.parametrize(
    ("figures", "rule"),
    [
        ({"max_lag_s": 0.2}, "client_late"),
        ({"max_lag_s": math.nan}, "client_late"),
        ({"client_cpu_s": 0.8}, "client_busy"),
        ({"client_cpu_s": math.nan}, "client_busy"),
    ],
)
def test_late_or_busy_client_is_invalid(figures: dict[str, float], rule: str) -> None:
    (problem,) = check_client(**({"max_lag_s": 0.001, "client_cpu_s": 0.1, "wall_s": 1.0} | figures))
    assert problem.rule == rule


def test_missing_gated_metric_is_invalid() -> None:
    workload = Workload(name="w", description="", prompts="p", requests=1, max_tokens=2)
    (problem,) = check_gated({"decode_tps": 1.0, "ttft_s": 1.0}, workload)
    assert "prefill_tps cannot be computed" in problem.detail
