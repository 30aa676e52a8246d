"""Client against server: two clocks that watched the same streams must agree. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

from tokgate.drive.sample import Sample
from tokgate.engines.engine import Counters
from tokgate.measure.measurement import Problem
from tokgate.measure.metrics import decode_tps, geometric_mean, ttft_s

AGREEMENT = 0.02
"""Client and server may differ by this fraction."""

STAMP_S = 0.005
"""A stream's two ends are stamped when a thread gets its turn: on a loaded machine so much apart, and
neither clock is wrong. On a second of decoding it is a quarter of AGREEMENT."""


def timing_problems(samples: Sequence[Sample]) -> tuple[Problem, ...]:
    """llama.cpp's own `timings` of a launch's requests against what the client saw.

    The decode rates are compared as the gate uses them, as the geometric mean over the requests: one late
    wake-up is noise, which the statistics over launches see; what all requests share is a bias.
    """
    timed = [one for one in samples if one.error is None and one.timings is not None]
    found = [problem for sample in timed for problem in _of_request(sample)]
    if (rates := _mean_rates(samples)) is not None:
        limit = max(AGREEMENT, STAMP_S / rates.server_s)
        if not abs(rates.client_tps / rates.server_tps - 1) <= limit:
            detail = f"decode {rates.client_tps:.2f} tok/s by the client, {rates.server_tps:.2f} tok/s by the server"
            found.append(_problem(f"{rates.requests} requests", detail, limit))
    return tuple(found)


def decode_difference(samples: Sequence[Sample]) -> float | None:
    """By how much (fraction) the client's decode rate is above llama.cpp's own; None where there is none to compare."""
    rates = _mean_rates(samples)
    return None if rates is None else rates.client_tps / rates.server_tps - 1


def counter_problems(
    samples: Sequence[Sample], grown: Mapping[str, float], counters: Counters | None
) -> tuple[Problem, ...]:
    """The engine's own counters over a launch's timed region against what the client saw of the same requests.

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


def _token_problems(
    samples: Sequence[Sample], grown: Mapping[str, float], counters: Counters
) -> Iterator[Problem]:
    for kind, name, by_usage in (
        ("generation", counters.generation_tokens, sum(sample.completion_tokens or 0 for sample in samples)),
        ("prompt", counters.prompt_tokens, sum(sample.prompt_tokens or 0 for sample in samples)),
    ):
        counted = grown.get(name) if name else None
        if counted is not None and not abs(by_usage - counted) <= AGREEMENT * counted:
            detail = f"{by_usage} {kind} tokens by usage, {name} grew by {counted:.0f}"
            yield _problem(f"{len(samples)} requests", detail, AGREEMENT)


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
        detail = f"mean {client_s * 1e3:.1f} ms by the client, {server_s * 1e3:.1f} ms by {histogram}"
        yield _problem(f"{len(samples)} requests", detail, allowed_s / server_s)


def _decode_s(sample: Sample) -> float | None:
    """First token chunk -> last one."""
    times = sample.token_times_s
    return times[-1] - times[0] if len(times) > 1 else None


def _of_request(sample: Sample) -> list[Problem]:
    """What no late wake-up explains: a first token before its prompt was read, other token counts."""
    found, server, first = [], sample.timings, ttft_s(sample)
    assert server is not None
    whom = f"request {sample.index} ({sample.prompt_id})"
    if first is not None and first < server.prompt_ms / 1e3 * (1 - AGREEMENT):
        detail = f"TTFT {first * 1e3:.1f} ms by the client, prompt {server.prompt_ms:.1f} ms by the server"
        found.append(_problem(whom, detail, AGREEMENT))
    if server.predicted_n != sample.completion_tokens:
        detail = f"usage says {sample.completion_tokens} tokens, timings say {server.predicted_n}"
        found.append(_problem(whom, detail, 0))
    return found


class _Rates(NamedTuple):
    """A decode rate by client and by server, the server's seconds of decoding, and of how many requests."""

    client_tps: float
    server_tps: float
    server_s: float
    requests: int = 1


def _mean_rates(samples: Sequence[Sample]) -> _Rates | None:
    rates = [one for sample in samples if (one := _rates(sample)) is not None]
    ours = geometric_mean([one.client_tps for one in rates])
    theirs = geometric_mean([one.server_tps for one in rates])
    if ours is None or theirs is None:
        return None
    return _Rates(ours, theirs, fmean(one.server_s for one in rates), len(rates))


def _rates(sample: Sample) -> _Rates | None:
    """None where client or server cannot tell, or the request failed.

    llama.cpp's rate is (predicted_n - 1) / predicted_ms: the first token belongs to the prompt.
    """
    rate, server = decode_tps(sample), sample.timings
    if (
        sample.error is not None
        or rate is None
        or server is None
        or server.predicted_n < 2
        or server.predicted_ms <= 0
    ):
        return None
    seconds = server.predicted_ms / 1e3
    return _Rates(rate, (server.predicted_n - 1) / seconds, seconds)


def _problem(whom: str, detail: str, limit: float) -> Problem:
    return Problem(rule="client_server_disagree", detail=f"{whom}: {detail} (limit {limit:.1%})")
