"""When a sample, and with it its launch, is not valid: one small pure rule each, with its evidence.

The rules about the host are in `quiet`, those about client against server in `reconcile`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from tokgate.config.workload import Workload
from tokgate.drive.sample import Sample
from tokgate.measure.measurement import Problem

LAG_LIMIT_S = 0.05
"""An event loop this late stamps tokens too late to be called a measurement."""

FIRST_CHUNK_LIMIT = 0.005
"""So far may decode_tps be off because it is not known how many tokens the first chunk held."""

CLIENT_CPU_LIMIT = 0.5
"""Share of one core the client may use: above it the client, not the server, is what is timed."""


def sample_problems(samples: Sequence[Sample]) -> tuple[Problem, ...]:
    """Everything that makes a sample of this launch invalid, in request order."""
    return tuple(problem for rule in RULES for problem in rule(samples))


def failed(samples: Sequence[Sample]) -> Iterator[Problem]:
    """An HTTP error, a retry, a broken or stalled stream."""
    for sample in samples:
        if sample.error is not None:
            yield _problem("request_failed", sample, sample.error)


def usage_missing(samples: Sequence[Sample]) -> Iterator[Problem]:
    """Tokens are counted by the server; without its usage there is no rate."""
    for sample in _answered(samples):
        if sample.completion_tokens is None or sample.prompt_tokens is None:
            yield _problem("usage_missing", sample, "the stream ended without usage")


def wrong_length(samples: Sequence[Sample]) -> Iterator[Problem]:
    """n differs from what was asked: fixed work was not done."""
    for sample in _answered(samples):
        n = sample.completion_tokens
        if n is not None and n != sample.asked_tokens:
            ended = f" (finish_reason {sample.finish_reason})" if sample.finish_reason else ""
            yield _problem("wrong_length", sample, f"asked {sample.asked_tokens} tokens, got {n}{ended}")


def cached(samples: Sequence[Sample]) -> Iterator[Problem]:
    """Cached prompt tokens make prefill look fast."""
    for sample in _answered(samples):
        if sample.cached_tokens:
            seen = f"{sample.cached_tokens} of {sample.prompt_tokens} prompt tokens came from a cache"
            yield _problem("prompt_cached", sample, seen)


def no_rate(samples: Sequence[Sample]) -> Iterator[Problem]:
    """Fewer than two token chunks, or all at one instant: there is no decode rate to take."""
    for sample in _answered(samples):
        times = sample.token_times_s
        if len(times) < 2 or times[0] == times[-1]:
            yield _problem(
                "no_rate", sample, f"{len(times)} token chunks, all at one instant or fewer than two"
            )


def first_chunk_unknown(samples: Sequence[Sample]) -> Iterator[Problem]:
    """The first token chunk seems to hold several tokens, and the server does not say how many.

    They are no part of decode_tps, which would be too high by them. Where the engine's own timings are
    there, `reconcile` sees it.
    """
    for sample in _answered(samples):
        n, chunks = sample.completion_tokens or 0, len(sample.token_times_s)
        if sample.first_chunk_told or sample.timings is not None or not 1 < chunks < n:
            continue
        characters = max(1, len(sample.text)) / n
        likely = max(_several(len(sample.first_chunk_text) / characters, 2.5), _several(n / chunks, 1.5))
        if (likely - 1) / (n - 1) > FIRST_CHUNK_LIMIT:
            seen = f"{n} tokens came in {chunks} chunks, about {likely:.0f} of them in the first"
            yield _problem("first_chunk_unknown", sample, f"{seen}; the server does not say how many")


def _several(tokens: float, least: float) -> float:
    """An estimate of tokens in a chunk, one where it may as well be a long word or a character cut in two."""
    return tokens if tokens >= least else 1.0


def clock_backwards(samples: Sequence[Sample]) -> Iterator[Problem]:
    """Timestamps of one request must not decrease."""
    for sample in samples:
        first = [sample.first_byte_s] if sample.first_byte_s is not None else []
        times = [sample.sent_s, *first, *sample.token_times_s, sample.end_s]
        for before, after in pairwise(times):
            if after < before:
                yield _problem("clock_backwards", sample, f"{before:.6f} s is followed by {after:.6f} s")
                break


def prompt_length_varies(samples: Sequence[Sample]) -> Iterator[Problem]:
    """One prompt, with prefixes of constant length, must always be as many tokens."""
    lengths: dict[str, int] = {}
    for sample in _answered(samples):
        if sample.prompt_tokens is None:
            continue
        known = lengths.setdefault(sample.prompt_id, sample.prompt_tokens)
        if known != sample.prompt_tokens:
            seen = (
                f"{sample.prompt_tokens} prompt tokens, and {known} in an earlier request of the same prompt"
            )
            yield _problem("prompt_length_varies", sample, seen)


RULES = (
    failed,
    usage_missing,
    wrong_length,
    cached,
    no_rate,
    first_chunk_unknown,
    clock_backwards,
    prompt_length_varies,
)


def client_problems(*, max_lag_s: float, client_cpu_s: float, wall_s: float) -> tuple[Problem, ...]:
    """The client was late or busy: seconds of event-loop lag, of its CPU, and of the timed region."""
    found = []
    if not max_lag_s <= LAG_LIMIT_S:
        seen = f"the event loop was {max_lag_s * 1e3:.0f} ms late (limit {LAG_LIMIT_S * 1e3:.0f} ms)"
        found.append(Problem(rule="client_late", detail=seen))
    if wall_s > 0 and not client_cpu_s / wall_s <= CLIENT_CPU_LIMIT:
        seen = f"the client used {client_cpu_s / wall_s:.0%} of a core (limit {CLIENT_CPU_LIMIT:.0%})"
        found.append(Problem(rule="client_busy", detail=seen))
    return tuple(found)


def missing_metrics(
    found: dict[str, float], workload: Workload, expected: Sequence[str]
) -> tuple[Problem, ...]:
    """A gated metric that could not be computed is a problem, never a silent gap."""
    return tuple(
        Problem(rule="metric_missing", detail=f"{name} could not be computed for workload {workload.name}")
        for name in expected
        if name not in found
    )


def _answered(samples: Sequence[Sample]) -> Iterator[Sample]:
    return (sample for sample in samples if sample.error is None)


def _problem(rule: str, sample: Sample, detail: str) -> Problem:
    return Problem(rule=rule, detail=f"request {sample.index} ({sample.prompt_id}): {detail}")
