"""Compares client and server: two clocks that timed the same streams must agree. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

from tokgate.config.words import format_count, format_percent, format_quantity
from tokgate.drive.sample import Sample
from tokgate.engines.engine import Counters
from tokgate.measure.counts import drop_implausible
from tokgate.measure.measurement import Problem
from tokgate.measure.metrics import compute_geometric_mean, decode_tps, ttft_s

AGREEMENT = 0.02
"""Client and server may differ by this fraction."""

STAMP_S = 0.005
"""Each side stamps a stream's ends when its thread is scheduled: on a loaded machine the stamps may differ by this
many seconds though neither clock is wrong. For a second of decoding it is a quarter of AGREEMENT."""


def check_timings(samples: Sequence[Sample]) -> tuple[Problem, ...]:
    """Disagreements between llama.cpp's own `timings` of a launch's requests and the client.

    The decode rates are compared as the gate uses them, by their geometric mean over the requests: one late
    wake-up is noise, which the statistics over launches cover; a difference in all requests is a bias. Counts that cannot
    be true are not compared.
    """
    samples = drop_implausible(samples)
    timed = [sample for sample in samples if sample.error is None and sample.timings is not None]
    problems = [problem for sample in timed for problem in _request_problems(sample)]
    if (rates := _mean_rates(samples)) is not None:
        limit = max(AGREEMENT, STAMP_S / rates.server_s)
        if not abs(rates.client_tps / rates.server_tps - 1) <= limit:
            detail = f"decode {format_quantity(rates.client_tps, 'tok/s')} by the client, {format_quantity(rates.server_tps, 'tok/s')} by the server"
            problems.append(_problem(format_count(rates.requests, "request"), detail, limit))
    return tuple(problems)


def decode_difference(samples: Sequence[Sample]) -> float | None:
    """By how much (fraction) the client's decode rate exceeds llama.cpp's own; None without one of them."""
    rates = _mean_rates(samples)
    return None if rates is None else rates.client_tps / rates.server_tps - 1


def check_counters(
    samples: Sequence[Sample], grown: Mapping[str, float], counters: Counters | None
) -> tuple[Problem, ...]:
    """Disagreements between the engine's own counters over a launch's timed region and the client.

    grown: by name, how much each sample of its page of counters grew; a missing one is not compared.
    counters: what the engine calls them, None when it has none.
    A failed request is a problem of its own: the two sides then saw different requests.
    """
    if counters is None or not samples or any(sample.error is not None for sample in samples):
        return ()
    return (
        *_token_problems(samples, grown, counters),
        *_time_problems(samples, grown, counters.ttft, ttft_s, max(STAMP_S, counters.front_end_s)),
        *_time_problems(samples, grown, counters.decode, _decode_s, STAMP_S),
    )


def _token_problems(samples: Sequence[Sample], grown: Mapping[str, float], counters: Counters) -> Iterator[Problem]:
    for kind, name, by_usage in (
        ("generation", counters.generation_tokens, sum(sample.completion_tokens or 0 for sample in samples)),
        ("prompt", counters.prompt_tokens, sum(sample.prompt_tokens or 0 for sample in samples)),
    ):
        counted = grown.get(name) if name else None
        if counted is not None and not abs(by_usage - counted) <= AGREEMENT * counted:
            detail = f"{by_usage} {kind} tokens by usage, {name} grew by {counted:.0f}"
            yield _problem(format_count(len(samples), "request"), detail, AGREEMENT)


def _time_problems(
    samples: Sequence[Sample],
    grown: Mapping[str, float],
    histogram: str | None,
    read_s: Callable[[Sample], float | None],
    late_s: float,
) -> Iterator[Problem]:
    """late_s: how much later (seconds) than the engine the client may see it."""
    seconds = [value for sample in samples if (value := read_s(sample)) is not None]
    count = grown.get(f"{histogram}_count")
    if not seconds or not count:
        return
    client_s, server_s = fmean(seconds), grown[f"{histogram}_sum"] / count
    allowed_s = max(AGREEMENT * server_s, late_s if client_s > server_s else STAMP_S)
    if not abs(client_s - server_s) <= allowed_s:
        detail = f"mean {format_quantity(client_s, 's')} by the client, {format_quantity(server_s, 's')} by {histogram}"
        yield _problem(format_count(len(samples), "request"), detail, allowed_s / server_s)


def _decode_s(sample: Sample) -> float | None:
    """First token chunk -> last one."""
    times = sample.token_times_s
    return times[-1] - times[0] if len(times) > 1 else None


def _request_problems(sample: Sample) -> list[Problem]:
    """What a late wake-up cannot explain: a first token before its prompt was read, other token counts."""
    problems, server, first = [], sample.timings, ttft_s(sample)
    assert server is not None
    scope = f"request {sample.index} ({sample.prompt_id})"
    if first is not None and first < server.prompt_ms / 1e3 * (1 - AGREEMENT):
        detail = f"TTFT {format_quantity(first, 's')} by the client, prompt {format_quantity(server.prompt_ms / 1e3, 's')} by the server"
        problems.append(_problem(scope, detail, AGREEMENT))
    if server.predicted_n != sample.completion_tokens:
        detail = f"{sample.completion_tokens} tokens by usage, {server.predicted_n} by timings"
        problems.append(_problem(scope, detail, 0))
    return problems


class _Rates(NamedTuple):
    """The mean decode rate by client and by server, the server's seconds of decoding, and the number of requests."""

    client_tps: float
    server_tps: float
    server_s: float
    requests: int


def _mean_rates(samples: Sequence[Sample]) -> _Rates | None:
    """Over the requests that did not fail and whose rates are known; None when there is none.

    llama.cpp's rate is (predicted_n - 1) / predicted_ms: the first token belongs to the prompt.
    """
    client, server, seconds = [], [], []
    for sample in samples:
        rate, timings = decode_tps(sample), sample.timings
        if sample.error is None and rate and timings and timings.predicted_n > 1 and timings.predicted_ms > 0:
            client.append(rate)
            seconds.append(timings.predicted_ms / 1e3)
            server.append((timings.predicted_n - 1) / seconds[-1])
    client_tps, server_tps = compute_geometric_mean(client), compute_geometric_mean(server)
    if client_tps is None or server_tps is None:
        return None
    return _Rates(client_tps, server_tps, fmean(seconds), len(seconds))


def _problem(scope: str, detail: str, limit: float) -> Problem:
    return Problem(rule="client_server_disagree", detail=f"{scope}: {detail} (limit {format_percent(limit)})")
