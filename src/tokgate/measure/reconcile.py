"""Client against server: two clocks that watched the same streams must agree. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tokgate.drive.sample import Sample
from tokgate.measure.measurement import Problem
from tokgate.measure.metrics import decode_tps, ttft_s

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
    pairs = [(rate, theirs, ours) for sample in timed for rate, theirs, ours in _rates(sample)]
    if pairs:
        client, server, seconds = np.array(pairs).T
        limit = max(AGREEMENT, STAMP_S / float(seconds.mean()))
        rate, theirs = _geometric_mean(client), _geometric_mean(server)
        if not abs(rate / theirs - 1) <= limit:
            detail = f"decode {rate:.2f} tok/s by the client, {theirs:.2f} tok/s by the server"
            found.append(_problem(f"{len(pairs)} requests", detail, limit))
    return tuple(found)


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


def _rates(sample: Sample) -> list[tuple[float, float, float]]:
    """Decode rate by the client and by the server, tok/s, and the server's seconds; empty without either.

    llama.cpp's rate is (predicted_n - 1) / predicted_ms: the first token belongs to the prompt.
    """
    rate, server = decode_tps(sample), sample.timings
    if rate is None or server is None or server.predicted_n < 2 or server.predicted_ms <= 0:
        return []
    seconds = server.predicted_ms / 1e3
    return [(rate, (server.predicted_n - 1) / seconds, seconds)]


def _geometric_mean(rates: np.ndarray) -> float:
    return float(np.exp(np.log(rates).mean()))


def _problem(whom: str, detail: str, limit: float) -> Problem:
    return Problem(rule="client_server_disagree", detail=f"{whom}: {detail} (limit {limit:.1%})")
