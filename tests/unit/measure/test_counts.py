"""Counts that cannot be true make a sample invalid, and nothing is computed from them; counts of real servers can."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.drive.sample import Sample, ServerTimings
from tokgate.measure.counts import find_implausible
from tokgate.measure.metrics import Pass, compute_metrics
from tokgate.measure.reconcile import check_timings
from tokgate.measure.validity import check_samples

RATES = {"decode_tps", "prefill_tps", "output_tps", "tpot_s", "tokens_per_chunk"}
TIMINGS = ServerTimings(cache_n=0, prompt_n=100, prompt_ms=490.0, predicted_n=64, predicted_ms=6300.0)
WORD = " word"


def make_sample(**changes: object) -> Sample:
    """64 tokens of 5 bytes for a prompt of 400 bytes and 100 tokens."""
    good = Sample(
        index=3,
        prompt_id="p",
        asked_tokens=64,
        prompt_bytes=400,
        sent_s=1.0,
        first_byte_s=1.4,
        token_times_s=tuple(1.5 + 0.1 * i for i in range(64)),
        end_s=7.9,
        first_chunk_text=WORD,
        text=WORD * 64,
        prompt_tokens=100,
        cached_tokens=0,
        completion_tokens=64,
        timings=TIMINGS,
    )
    return msgspec.structs.replace(good, **changes)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"count_problem": "usage.prompt_tokens is -5"}, "usage.prompt_tokens is -5"),
        ({"prompt_tokens": 0}, "0 prompt tokens for a prompt"),
        ({"prompt_tokens": 0, "prompt_bytes": None}, "0 prompt tokens for a prompt"),
        ({"prompt_tokens": 6}, "6 prompt tokens for 400 bytes of prompt"),
        ({"prompt_tokens": 10_000}, "10000 prompt tokens for 400 bytes of prompt"),
        ({"cached_tokens": 101}, "101 cached of 100 prompt tokens"),
        ({"completion_tokens": 0}, "0 tokens for 320 bytes of text"),
        ({"completion_tokens": 1}, "1 token for 320 bytes of text"),
        ({"completion_tokens": 1000}, "1000 tokens for 320 bytes of text"),
        ({"first_chunk_told": True, "first_chunk_tokens": 65}, "64 tokens, but 65 of them in the first chunk"),
        (
            {"first_chunk_told": True, "first_chunk_text": "x" * 300, "first_chunk_tokens": 1},
            "1 token for the 300 bytes of the first chunk",
        ),
    ],
)
def test_implausible_count(changes: dict[str, object], reason: str) -> None:
    """The rule names it, no other rule looks at the counts, and no rate is computed."""
    sample = make_sample(**changes)
    (problem,) = check_samples([sample])
    assert (problem.rule, reason in problem.detail) == ("implausible_count", True), problem.detail
    assert check_timings([sample]) == ()
    metrics = compute_metrics(Pass([sample]))
    assert not RATES & metrics.keys()
    assert metrics["ttft_s"] == pytest.approx(0.5)


def test_one_implausible_of_several() -> None:
    """The others are computed; the launch is invalid all the same."""
    samples = [make_sample(), make_sample(index=4, prompt_tokens=0)]
    assert [problem.detail[:11] for problem in check_samples(samples)] == ["request 4 ("]
    assert compute_metrics(Pass(samples))["prefill_tps"] == pytest.approx(200.0)


@pytest.mark.parametrize(("other", "rules"), [(100, []), (101, ["prompt_length_varies"]), (40, ["implausible_count"])])
def test_other_requests_of_the_prompt(other: int, rules: list[str]) -> None:
    """A count far from that of the other requests with its prompt cannot be true."""
    samples = [*(make_sample(index=index) for index in range(4)), make_sample(index=4, prompt_tokens=other)]
    assert [problem.rule for problem in check_samples(samples)] == rules


@pytest.mark.parametrize(
    "changes",
    [
        # One digit each, and signs of three bytes each.
        {"text": "7" * 64},
        {"text": "漢" * 64},
        # The longest token of some vocabularies, again and again.
        {"text": "=" * 128 * 64},
        # Half of the tokens are marks of a tool call, which have no text.
        {"text": "ab" * 16, "first_chunk_text": "ab"},
        # A thinking model whose 1000 tokens of reasoning are counted, but not sent.
        {
            "completion_tokens": 1024,
            "asked_tokens": 1024,
            "text": WORD * 24,
            "first_chunk_told": True,
            "first_chunk_tokens": 1000,
            "timings": None,
        },
        # A template that describes tools, and a prompt of digits.
        {"prompt_tokens": 3000},
        {"prompt_tokens": 400},
        # An older record, of which nothing is known.
        {"prompt_bytes": None, "text": "", "prompt_tokens": 5000},
        {"prompt_tokens": None, "cached_tokens": None, "completion_tokens": None},
    ],
)
def test_counts_of_real_servers(changes: dict[str, object]) -> None:
    assert find_implausible([make_sample(**changes)]) == {}


@given(
    word=st.sampled_from(["a", " word", "漢字", "\n", "    ", "0", " tok"]),
    n=st.integers(1, 2000),
    template=st.integers(0, 500),
    prompt=st.integers(16, 5000),
)
def test_usual_text_is_plausible(word: str, n: int, template: int, prompt: int) -> None:
    """A token for each word, whatever the words are."""
    sample = make_sample(
        completion_tokens=n,
        text=word * n,
        first_chunk_text=word,
        prompt_bytes=prompt * 4,
        prompt_tokens=prompt + template,
    )
    assert find_implausible([sample]) == {}


COUNTS = st.none() | st.integers(0, 100) | st.integers(0, 100_000_000)


@given(
    counts=st.lists(st.tuples(COUNTS, COUNTS, COUNTS, st.integers(0, 10**8), st.booleans()), min_size=1, max_size=4),
    text=st.text(max_size=200),
)
def test_metrics_are_positive_numbers(
    counts: list[tuple[int | None, int | None, int | None, int, bool]], text: str
) -> None:
    """Whatever a server counts: a metric is a positive number or absent. A warning of numpy is an error here."""
    samples = [
        make_sample(
            index=index,
            prompt_tokens=prompt,
            completion_tokens=completion,
            cached_tokens=cached,
            first_chunk_tokens=first,
            first_chunk_told=stated,
            text=text,
        )
        for index, (prompt, completion, cached, first, stated) in enumerate(counts)
    ]
    for name, value in compute_metrics(Pass(samples, bytes_per_token=1e9, joules=5.0)).items():
        assert math.isfinite(value), name
        assert value > 0, name
    check_samples(samples)
    check_timings(samples)
