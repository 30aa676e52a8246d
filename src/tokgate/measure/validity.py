"""When a sample, and with it its launch, is not valid: one pure rule each, with its evidence.

The rules about the host are in `quiet`, those that compare client and server in `reconcile`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from tokgate.config.words import format_percent, format_quantity
from tokgate.config.workload import Workload
from tokgate.drive.sample import Sample
from tokgate.measure.counts import find_implausible
from tokgate.measure.measurement import Problem

LAG_LIMIT_S = 0.05
"""An event loop that is later than this stamps tokens too late to measure them."""

FIRST_CHUNK_LIMIT = 0.005
"""Largest error of decode_tps that may result from an unknown number of tokens in the first chunk."""

CLIENT_CPU_LIMIT = 0.5
"""Largest share of one core that the client may use; above it, the client limits the speed, not the server."""


def check_samples(samples: Sequence[Sample]) -> tuple[Problem, ...]:
    """Everything that makes a sample of this launch invalid, by rule and in the order of requests.

    Where a count cannot be true, no rule looks at the counts of that sample.
    """
    implausible = find_implausible(samples)
    counted = [sample for at, sample in enumerate(samples) if at not in implausible]
    return (
        *(problem for rule in RULES for problem in rule(samples)),
        *(problem for rule in COUNT_RULES for problem in rule(counted)),
    )


def failed(samples: Sequence[Sample]) -> Iterator[Problem]:
    """An HTTP error, a retry, a broken or stalled stream."""
    for sample in samples:
        if sample.error is not None:
            yield _problem("request_failed", sample, sample.error)


def implausible_count(samples: Sequence[Sample]) -> Iterator[Problem]:
    """A count that cannot be true says nothing about speed, and neither do the other counts of that request."""
    for at, reason in find_implausible(samples).items():
        if samples[at].error is None:
            yield _problem("implausible_count", samples[at], reason)


def usage_missing(samples: Sequence[Sample]) -> Iterator[Problem]:
    """The server counts the tokens; without its usage there is no rate."""
    for sample in _answered(samples):
        if sample.completion_tokens is None or sample.prompt_tokens is None:
            yield _problem("usage_missing", sample, "the stream ended without usage")


def wrong_length(samples: Sequence[Sample]) -> Iterator[Problem]:
    """n differs from the number of tokens requested: the launch did not do the fixed work."""
    for sample in _answered(samples):
        n = sample.completion_tokens
        if n is not None and n != sample.asked_tokens:
            ended = f" (finish_reason {sample.finish_reason})" if sample.finish_reason else ""
            yield _problem("wrong_length", sample, f"requested {sample.asked_tokens} tokens, got {n}{ended}")


def cached(samples: Sequence[Sample]) -> Iterator[Problem]:
    """Cached prompt tokens make prefill look fast."""
    for sample in _answered(samples):
        if sample.cached_tokens:
            detail = f"{sample.cached_tokens} of {sample.prompt_tokens} prompt tokens came from a cache"
            yield _problem("prompt_cached", sample, detail)


def no_rate(samples: Sequence[Sample]) -> Iterator[Problem]:
    """Fewer than two token chunks, or all at the same time: there is no decode rate."""
    for sample in _answered(samples):
        times = sample.token_times_s
        if len(times) < 2 or times[0] == times[-1]:
            few = "need at least two" if len(times) < 2 else "all at the same time"
            yield _problem("no_rate", sample, f"{len(times)} token chunks, {few}")


def first_chunk_unknown(samples: Sequence[Sample]) -> Iterator[Problem]:
    """The first token chunk seems to hold several tokens, and the server does not say how many.

    decode_tps counts from the first chunk on, so it would be too high. Where the engine reports its own timings,
    `reconcile` compares them instead.
    """
    for sample in _answered(samples):
        n, chunks = sample.completion_tokens or 0, len(sample.token_times_s)
        if sample.first_chunk_told or sample.timings is not None or not 1 < chunks < n:
            continue
        characters = max(1, len(sample.text)) / n
        likely = max(_several(len(sample.first_chunk_text) / characters, 2.5), _several(n / chunks, 1.5))
        if (likely - 1) / (n - 1) > FIRST_CHUNK_LIMIT:
            detail = f"{n} tokens in {chunks} chunks, about {likely:.0f} of them in the first"
            yield _problem("first_chunk_unknown", sample, f"{detail}; the server does not report how many")


def _several(tokens: float, least: float) -> float:
    """The estimated number of tokens in a chunk; 1 if it may also be a long word or half a character."""
    return tokens if tokens >= least else 1.0


def clock_backwards(samples: Sequence[Sample]) -> Iterator[Problem]:
    """Timestamps of one request must not decrease."""
    for sample in samples:
        first = [sample.first_byte_s] if sample.first_byte_s is not None else []
        times = [sample.sent_s, *first, *sample.token_times_s, sample.end_s]
        for before, after in pairwise(times):
            if after < before:
                yield _problem("clock_backwards", sample, f"a timestamp of {before:.6f} s is followed by {after:.6f} s")
                break


def prompt_length_varies(samples: Sequence[Sample]) -> Iterator[Problem]:
    """The same prompt, with a prefix of constant length, must always have the same number of tokens."""
    lengths: dict[str, int] = {}
    for sample in _answered(samples):
        if sample.prompt_tokens is None:
            continue
        known = lengths.setdefault(sample.prompt_id, sample.prompt_tokens)
        if known != sample.prompt_tokens:
            detail = f"{sample.prompt_tokens} prompt tokens, but {known} in an earlier request with the same prompt"
            yield _problem("prompt_length_varies", sample, detail)


RULES = (failed, implausible_count, no_rate, clock_backwards)

COUNT_RULES = (usage_missing, wrong_length, cached, first_chunk_unknown, prompt_length_varies)
"""Rules that compare numbers of tokens."""


def check_client(*, max_lag_s: float, client_cpu_s: float, wall_s: float) -> tuple[Problem, ...]:
    """The client was late or busy.

    max_lag_s: longest delay of the event loop, seconds.
    client_cpu_s: CPU time of the client in the timed region, seconds.
    wall_s: length of the timed region, seconds.
    """
    problems = []
    if not max_lag_s <= LAG_LIMIT_S:
        detail = (
            f"the event loop was {format_quantity(max_lag_s, 's')} late (limit {format_quantity(LAG_LIMIT_S, 's')})"
        )
        problems.append(Problem(rule="client_late", detail=detail))
    if wall_s > 0 and not client_cpu_s / wall_s <= CLIENT_CPU_LIMIT:
        detail = f"the client used {format_percent(client_cpu_s / wall_s)} of a core (limit {format_percent(CLIENT_CPU_LIMIT)})"
        problems.append(Problem(rule="client_busy", detail=detail))
    return tuple(problems)


def check_gated(gated: Mapping[str, float], workload: Workload) -> tuple[Problem, ...]:
    """A gated metric that could not be computed is a problem, never a silent gap."""
    return tuple(
        Problem(
            rule="metric_missing",
            detail=f"{name} cannot be computed for workload {workload.name}: see docs/metrics.md for what it requires",
        )
        for name in workload.gated
        if name not in gated
    )


def _answered(samples: Sequence[Sample]) -> Iterator[Sample]:
    return (sample for sample in samples if sample.error is None)


def _problem(rule: str, sample: Sample, detail: str) -> Problem:
    return Problem(rule=rule, detail=f"request {sample.index} ({sample.prompt_id}): {detail}")
