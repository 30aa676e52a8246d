"""Streams as they are in the wild: each read as measurement.md says, or refused with its reason."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from statistics import median
from typing import Any

import pytest

from tokgate.config.workload import Closed, Constant
from tokgate.drive.load import DriveResult
from tokgate.drive.sample import Sample
from tokgate.drive.truth.scenario import Record, Scenario
from tokgate.measure.metrics import decode_tps
from tokgate.measure.validity import check_samples

Run = Callable[..., tuple[DriveResult, list[Record]]]
One = Callable[..., tuple[Sample, Record]]

SPREAD: dict[str, Any] = {"ttft_s": 0.03, "itl_s": 0.01}
"""Slow enough that each token chunk arrives by itself."""


def rules(sample: Sample) -> list[str]:
    return [problem.rule for problem in check_samples([sample])]


def assert_agree(run: Run, scenario: Scenario, *, tokens: int) -> Sample:
    """Drive some requests: all valid, and their decode rate is what the server did within half a percent.

    A busy machine can hold the client up at an end of a stream. So the requests start apart from each
    other, the median of their ratios is taken, and it may be off twice: an error of ours always is.
    """
    for _ in range(3):
        result, records = run(scenario, tokens=tokens, requests=9, load=Constant(rate_per_s=40))
        ratios = []
        for sample, record in zip(result.samples, records, strict=True):
            assert rules(sample) == [], sample.error
            assert len(sample.token_times_s) == len(record.sends)
            ratios.append((decode_tps(sample) or 0) / record.decode_tps)
        if median(ratios) == pytest.approx(1, rel=0.005):
            return result.samples[0]
    pytest.fail(f"client / truth of the decode rate is {median(ratios):.4f}, and was off twice before")


PLAIN = {
    "plain": {},
    "no role chunk": {"role": False},
    "several tokens a chunk, each with usage": {"tokens_per_chunk": 3, "usage": "every"},
    "reasoning_content": {"delta": "reasoning_content"},
    "reasoning": {"delta": "reasoning"},
    "tool calls": {"delta": "tool_calls"},
    "empty deltas": {"empty_deltas": True},
    "usage in every chunk": {"usage": "every"},
    "comments and pings": {"comments": True},
    "CRLF": {"newline": "\r\n"},
    "CR": {"newline": "\r"},
    "multi-line data": {"multi_line": True},
    "multi-line data, CRLF": {"multi_line": True, "newline": "\r\n"},
    "all at once": {"comments": True, "multi_line": True, "empty_deltas": True, "newline": "\r\n"},
    "1 MB in one event": {"pad": 2**20},
    "gzip": {"gzip": True},
    "jitter": {"jitter": 0.5},
    "slowed down": {"slowdown": 3.0},
}


@pytest.mark.parametrize("changes", PLAIN.values(), ids=PLAIN)
def test_values_agree_with_the_truth(run: Run, changes: dict[str, Any]) -> None:
    """The values of a sound stream are those of the truth."""
    sample = assert_agree(run, Scenario(**SPREAD, **changes), tokens=60)
    assert (sample.completion_tokens, sample.prompt_tokens, sample.finish_reason) == (60, 2, "length")
    assert sample.text == " tok" * 60


def test_role_chunk_is_not_a_token(one: One) -> None:
    sample, record = one(Scenario(ttft_s=0.3, itl_s=0.001))
    assert sample.first_byte_s is not None
    ttfb_s, ttft_s = sample.first_byte_s - sample.sent_s, sample.token_times_s[0] - sample.sent_s
    assert ttfb_s < record.ttft_s / 2
    assert ttft_s == pytest.approx(record.ttft_s, rel=0.1)


def test_usage_in_every_chunk(run: Run) -> None:
    """It tells the number of tokens of the first chunk."""
    scenario = Scenario(**SPREAD, usage="every", first_chunk_tokens=7, tokens_per_chunk=2)
    assert assert_agree(run, scenario, tokens=101).first_chunk_tokens == 7


@pytest.mark.parametrize(
    ("changes", "held"),
    [({"tokens_per_chunk": 3}, 3), ({"tokens_per_chunk": 2}, 2), ({"first_chunk_tokens": 7}, 7)],
)
def test_unknown_first_chunk_is_invalid(one: One, changes: dict[str, Any], held: int) -> None:
    """The launch is invalid when the server does not report the tokens of the first chunk."""
    sample, _ = one(Scenario(**SPREAD, **changes), tokens=60)
    [problem] = check_samples([sample])
    assert problem.rule == "first_chunk_unknown"
    assert f"about {held} of them in the first; the server does not report" in problem.detail


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("cut", [1, 2, 3, 7])
def test_events_cut_anywhere(one: One, cut: int, newline: Any) -> None:
    """Even within a character."""
    sample, _ = one(Scenario(cut=cut, newline=newline, text="é漢😀", usage="every"), tokens=20)
    assert sample.error is None
    assert sample.text == "é漢😀" * 20
    assert sample.completion_tokens == len(sample.token_times_s) == 20


def test_gzip_byte_by_byte(one: One) -> None:
    sample, _ = one(Scenario(gzip=True, cut=1, text="é漢😀"), tokens=20)
    assert (sample.error, sample.text) == (None, "é漢😀" * 20)


def test_simultaneous_tokens_have_no_rate(one: One) -> None:
    """Tokens that arrive at the same time have no rate."""
    sample, _ = one(Scenario(tokens=1))
    assert rules(sample) == ["no_rate", "wrong_length"]
    assert decode_tps(sample) is None


def test_fast_stream_never_goes_backwards(one: One) -> None:
    sample, _ = one(Scenario(), tokens=5000)
    assert len(sample.token_times_s) == 5000
    assert all(before <= after for before, after in pairwise(sample.token_times_s))


def test_missing_usage_is_invalid(one: One) -> None:
    sample, _ = one(Scenario(**SPREAD, usage="none"))
    assert rules(sample) == ["usage_missing"]
    assert len(sample.token_times_s) == 10


def test_missing_done_is_a_broken_stream(one: One) -> None:
    sample, _ = one(Scenario(**SPREAD, done=False))
    assert rules(sample) == ["request_failed"]
    assert sample.error is not None
    assert "ended without [DONE]" in sample.error


@pytest.mark.parametrize(("tokens", "words"), [(5, "requested 10 tokens, got 5"), (15, "requested 10 tokens, got 15")])
def test_wrong_output_length_is_invalid(one: One, tokens: int, words: str) -> None:
    sample, _ = one(Scenario(**SPREAD, tokens=tokens))
    [problem] = check_samples([sample])
    assert problem.rule == "wrong_length"
    assert words in problem.detail


def test_cached_prompt_is_invalid(one: One) -> None:
    sample, _ = one(Scenario(**SPREAD, cached_tokens=1))
    assert rules(sample) == ["prompt_cached"]


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_http_errors_are_not_retried(one: One, status: int) -> None:
    sample, record = one(Scenario(status=status))
    assert sample.status == status
    assert sample.error == f"HTTP {status}: the scenario asks for status {status}"
    assert record.sends == []


FAULTS = {
    "error_event": "the server reported an error in the stream: .*out of memory",
    "garbage": "an event of the stream is not a chat chunk .*not json",
    "reset": r"the stream broke after \d+ pieces of data: .*ConnectionResetError",
    "close": r"the stream broke after \d+ pieces of data: .*payload is not completed",
    "stall": r"the stream stalled: nothing for \d+\.\d ms after \d+ pieces of data",
    "silent": r"no complete answer within 0\.5 s \(request_timeout\), after 0 pieces of data",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults(one: One, fault: Any) -> None:
    """The error names the fault; what arrived before is kept."""
    sample, _ = one(
        Scenario(**SPREAD, fault=fault, fault_after=4),
        stall_timeout_s=0.3,
        request_timeout_s=0.5 if fault == "silent" else 20,
    )
    assert sample.error is not None
    assert re.match(FAULTS[fault], sample.error), sample.error
    assert rules(sample) == ["request_failed"]
    assert len(sample.token_times_s) == (0 if fault == "silent" else 4)
    assert sample.end_s >= max(sample.token_times_s, default=sample.sent_s)


def test_request_timeout(one: One) -> None:
    """It ends a stream that never stalls."""
    sample, _ = one(Scenario(itl_s=0.02), tokens=1000, request_timeout_s=0.4)
    assert sample.error is not None
    assert "no complete answer within 0.4 s" in sample.error
    assert len(sample.token_times_s) > 3


def test_many_faulty_streams(run: Run) -> None:
    """Each has its error."""
    scenario = Scenario(**SPREAD, fault="reset", fault_after=2)
    result, _ = run(scenario, requests=20, load=Closed(concurrency=10))
    assert [rules(sample) for sample in result.samples] == [["request_failed"]] * 20
