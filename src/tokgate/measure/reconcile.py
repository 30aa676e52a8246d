"""Client against server: two clocks that watched the same stream must agree. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from tokgate.drive.sample import Sample
from tokgate.measure.measurement import Problem
from tokgate.measure.metrics import decode_tps, ttft_s

AGREEMENT = 0.02
"""Client and server may differ by this fraction."""


def timing_problems(samples: Sequence[Sample]) -> tuple[Problem, ...]:
    """llama.cpp's own `timings` of each request against what the client saw.

    Its rate is (predicted_n - 1) / predicted_ms: the first token belongs to the prompt.
    """
    found = []
    for sample in samples:
        rate, server = decode_tps(sample), sample.timings
        if sample.error is not None or rate is None or server is None:
            continue
        first = ttft_s(sample) or 0.0
        if server.predicted_n > 1 and server.predicted_ms > 0:
            theirs = (server.predicted_n - 1) * 1e3 / server.predicted_ms
            if not abs(rate / theirs - 1) <= AGREEMENT:
                detail = f"decode {rate:.2f} tok/s by the client, {theirs:.2f} tok/s by the server"
                found.append(_problem(sample, detail))
        if first < server.prompt_ms / 1e3 * (1 - AGREEMENT):
            detail = (
                f"TTFT {first * 1e3:.1f} ms by the client, prompt {server.prompt_ms:.1f} ms by the server"
            )
            found.append(_problem(sample, detail))
        if server.predicted_n != sample.completion_tokens:
            detail = f"usage says {sample.completion_tokens} tokens, timings say {server.predicted_n}"
            found.append(_problem(sample, detail))
    return tuple(found)


def _problem(sample: Sample, detail: str) -> Problem:
    return Problem(
        rule="client_server_disagree",
        detail=f"request {sample.index} ({sample.prompt_id}): {detail} (limit {AGREEMENT:.0%})",
    )
