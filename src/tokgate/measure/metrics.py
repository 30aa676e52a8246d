"""Samples -> metrics, exactly as `docs/metrics.md` defines them. Pure; seconds and tokens in, rates out.

A figure that cannot be computed is None or absent, never zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from tokgate.config.workload import Limits, Workload
from tokgate.drive.sample import Sample


def ttfb_s(sample: Sample) -> float | None:
    """Request written -> first response byte."""
    return None if sample.first_byte_s is None else sample.first_byte_s - sample.sent_s


def ttft_s(sample: Sample) -> float | None:
    """Request written -> first chunk that holds a token (content, reasoning or tool call)."""
    return sample.token_times_s[0] - sample.sent_s if sample.token_times_s else None


def decode_tps(sample: Sample) -> float | None:
    """(n - k) tokens over the time between the first and the last token chunk."""
    if sample.completion_tokens is None or len(sample.token_times_s) < 2:
        return None
    after_first = sample.completion_tokens - sample.first_chunk_tokens
    seconds = sample.token_times_s[-1] - sample.token_times_s[0]
    return after_first / seconds if after_first > 0 and seconds > 0 else None


def tpot_s(sample: Sample) -> float | None:
    """Time per output token after the first chunk: 1 / decode_tps."""
    rate = decode_tps(sample)
    return None if rate is None else 1 / rate


def prefill_tps(sample: Sample) -> float | None:
    """Apparent prefill rate, (p - c) / TTFT: it contains queueing and the first decode step."""
    first = ttft_s(sample)
    if first is None or first <= 0 or sample.prompt_tokens is None:
        return None
    return (sample.prompt_tokens - (sample.cached_tokens or 0)) / first


def output_tps(samples: Iterable[Sample]) -> float | None:
    """All streams together: Σ n over first request written -> last token."""
    done = [sample for sample in samples if sample.token_times_s and sample.completion_tokens is not None]
    if not done:
        return None
    seconds = max(sample.token_times_s[-1] for sample in done) - min(sample.sent_s for sample in done)
    return sum(sample.completion_tokens or 0 for sample in done) / seconds if seconds > 0 else None


def goodput_rps(samples: Sequence[Sample], limits: Limits) -> float | None:
    """Requests per second that met every limit set; None when nothing was answered."""
    ended = [sample for sample in samples if sample.token_times_s]
    if not ended:
        return None
    seconds = max(sample.token_times_s[-1] for sample in ended) - min(sample.sent_s for sample in samples)
    good = sum(_meets(sample, limits) for sample in ended)
    return good / seconds if seconds > 0 else None


def _meets(sample: Sample, limits: Limits) -> bool:
    first, each = ttft_s(sample), tpot_s(sample)
    if sample.error is not None or first is None or each is None:
        return False
    return (limits.ttft is None or first <= limits.ttft) and (limits.tpot is None or each <= limits.tpot)


def context(samples: Iterable[Sample]) -> float:
    """Mean length in tokens of what an answer stood behind while it grew: the prompt and half of the answer."""
    lengths = [
        sample.prompt_tokens + sample.completion_tokens / 2
        for sample in samples
        if sample.prompt_tokens is not None and sample.completion_tokens is not None
    ]
    return float(np.mean(lengths)) if lengths else 0.0


def inter_token_s(samples: Iterable[Sample]) -> np.ndarray:
    """Gaps between token chunks of all samples, shape (gaps,), seconds."""
    gaps = [np.diff(sample.token_times_s) for sample in samples if len(sample.token_times_s) > 1]
    return np.concatenate(gaps) if gaps else np.empty(0)


def metrics(samples: Sequence[Sample], workload: Workload, bytes_per_token: float | None) -> dict[str, float]:
    """Every metric of one launch that can be computed: medians over requests, rates over the whole.

    bytes_per_token: what one decoded token reads from memory; effective_GBps needs it and one stream.
    """
    found: dict[str, float | None] = {
        name: _median(_values(samples, of))
        for name, of in (
            ("ttfb_s", ttfb_s),
            ("ttft_s", ttft_s),
            ("decode_tps", decode_tps),
            ("tpot_s", tpot_s),
            ("prefill_tps", prefill_tps),
        )
    }
    gaps = inter_token_s(samples)
    if gaps.size:
        found["itl_s"] = float(np.median(gaps))
        found["itl_p99_s"] = float(np.percentile(gaps, 99))
    found["output_tps"] = output_tps(samples)
    found["tokens_per_chunk"] = tokens_per_chunk(samples)
    if workload.limits is not None:
        found["goodput_rps"] = goodput_rps(samples, workload.limits)
    if bytes_per_token and workload.concurrency == 1 and found["decode_tps"] is not None:
        found["effective_GBps"] = bytes_per_token * found["decode_tps"] / 1e9
    return {name: value for name, value in found.items() if value is not None}


def tokens_per_chunk(samples: Iterable[Sample]) -> float | None:
    """Tokens over token chunks; other than 1, the gaps between chunks are not gaps between tokens."""
    done = [sample for sample in samples if sample.token_times_s and sample.completion_tokens]
    chunks = sum(len(sample.token_times_s) for sample in done)
    return sum(sample.completion_tokens or 0 for sample in done) / chunks if chunks else None


def gated(samples: Sequence[Sample], workload: Workload) -> dict[str, float]:
    """The launch's one value of each gated metric, as it enters the statistics over launches.

    Rates: geometric mean over requests (the mean of the log metric). ttft_s: median. output_tps (more
    than one stream) and goodput_rps (limits set): of the whole launch.
    """
    found: dict[str, float | None] = {
        "decode_tps": geometric_mean(_values(samples, decode_tps)),
        "prefill_tps": geometric_mean(_values(samples, prefill_tps)),
        "ttft_s": _median(_values(samples, ttft_s)),
    }
    if workload.concurrency > 1:
        found["output_tps"] = output_tps(samples)
    if workload.limits is not None:
        found["goodput_rps"] = goodput_rps(samples, workload.limits)
    return {name: value for name, value in found.items() if value is not None}


def _values(samples: Iterable[Sample], of: Callable[[Sample], float | None]) -> list[float]:
    return [value for sample in samples if sample.error is None and (value := of(sample)) is not None]


def _median(values: Sequence[float]) -> float | None:
    return float(np.median(values)) if values else None


def geometric_mean(values: Sequence[float]) -> float | None:
    """The mean of the log values, as a figure again; None without values."""
    return float(np.exp(np.mean(np.log(values)))) if values else None
