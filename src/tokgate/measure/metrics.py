"""Samples -> metrics, as `config/metric.py` defines them. Pure; seconds and tokens in, rates out.

A value that cannot be computed is None or absent, never zero. A new metric is one function with the metric's name:
`@per_request` gives the value, or the values, of one sample; `@per_pass` gives the value of all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec
import numpy as np

from tokgate.config.metric import METRICS, Statistic, find_metric
from tokgate.config.workload import Limits, Workload
from tokgate.drive.sample import Sample
from tokgate.measure.counts import drop_implausible

OfRequest = TypeVar("OfRequest", bound=Callable[[Sample], float | np.ndarray | None])


class Pass(msgspec.Struct, frozen=True):
    """The timed requests of one launch, and what some metrics require besides.

    samples: the requests; counts that cannot be true are removed from them.
    streams: the number of requests that may run at once.
    limits: what a request must meet to count as goodput; None without limits.
    bytes_per_token: what one decoded token reads from memory; None when unknown.
    joules: the energy that the requests took; None without a sensor.
    """

    samples: Sequence[Sample]
    streams: int = 1
    limits: Limits | None = None
    bytes_per_token: float | None = None
    joules: float | None = None

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "samples", drop_implausible(self.samples))

    @property
    def answered(self) -> list[Sample]:
        """Samples with tokens, counted by the server."""
        return [sample for sample in self.samples if sample.token_times_s and sample.completion_tokens is not None]

    @property
    def tokens(self) -> int:
        """Σ n."""
        return sum(sample.completion_tokens or 0 for sample in self.answered)


# By metric, the values that its statistic is taken over.
_VALUES: dict[str, Callable[[Pass], np.ndarray]] = {}


def per_request(function: OfRequest) -> OfRequest:
    """Make `function` the metric of its name; requests that failed are left out."""

    def values(timed: Pass) -> np.ndarray:
        results = [function(sample) for sample in timed.samples if sample.error is None]
        return np.concatenate([np.empty(0), *(np.atleast_1d(value) for value in results if value is not None)])

    _VALUES[function.__name__] = values
    return function


def per_pass(function: Callable[[Pass], float | None]) -> Callable[[Pass], float | None]:
    """Make `function` the metric of its name."""

    def values(timed: Pass) -> np.ndarray:
        value = function(timed)
        return np.empty(0) if value is None else np.array([value])

    _VALUES[function.__name__] = values
    return function


@per_request
def ttfb_s(sample: Sample) -> float | None:
    """Request written -> first response byte."""
    return None if sample.first_byte_s is None else sample.first_byte_s - sample.sent_s


@per_request
def ttft_s(sample: Sample) -> float | None:
    """Request written -> first chunk that holds a token (content, reasoning or tool call)."""
    return sample.token_times_s[0] - sample.sent_s if sample.token_times_s else None


@per_request
def decode_tps(sample: Sample) -> float | None:
    """(n - k) tokens over the time between the first and the last token chunk."""
    if sample.completion_tokens is None or len(sample.token_times_s) < 2:
        return None
    after_first = sample.completion_tokens - sample.first_chunk_tokens
    seconds = sample.token_times_s[-1] - sample.token_times_s[0]
    return after_first / seconds if after_first > 0 and seconds > 0 else None


@per_request
def tpot_s(sample: Sample) -> float | None:
    """Time per output token after the first chunk: 1 / decode_tps."""
    rate = decode_tps(sample)
    return None if rate is None else 1 / rate


@per_request
def prefill_tps(sample: Sample) -> float | None:
    """Apparent prefill rate, (p - c) / TTFT: it contains queueing and the first decode step."""
    first = ttft_s(sample)
    if first is None or first <= 0 or sample.prompt_tokens is None:
        return None
    read = sample.prompt_tokens - (sample.cached_tokens or 0)
    return read / first if read > 0 else None


@per_request
def itl_s(sample: Sample) -> np.ndarray:
    """Gaps between the token chunks, shape (gaps,), seconds."""
    return np.diff(sample.token_times_s)


@per_request
def itl_p99_s(sample: Sample) -> np.ndarray:
    """The gaps of itl_s, of which another statistic is taken."""
    return itl_s(sample)


@per_pass
def output_tps(timed: Pass) -> float | None:
    """All streams together: Σ n over first request written -> last token."""
    done = timed.answered
    if not done:
        return None
    seconds = max(sample.token_times_s[-1] for sample in done) - min(sample.sent_s for sample in done)
    return timed.tokens / seconds if seconds > 0 and timed.tokens else None


@per_pass
def goodput_rps(timed: Pass) -> float | None:
    """Requests per second that met every limit; None without limits, or when nothing was answered."""
    ended = [sample for sample in timed.samples if sample.token_times_s]
    if timed.limits is None or not ended:
        return None
    seconds = max(sample.token_times_s[-1] for sample in ended) - min(sample.sent_s for sample in timed.samples)
    good = sum(_meets(sample, timed.limits) for sample in ended)
    return good / seconds if seconds > 0 else None


def _meets(sample: Sample, limits: Limits) -> bool:
    first, each = ttft_s(sample), tpot_s(sample)
    if sample.error is not None or first is None or each is None:
        return False
    return (limits.ttft is None or first <= limits.ttft) and (limits.tpot is None or each <= limits.tpot)


@per_pass
def effective_GBps(timed: Pass) -> float | None:  # noqa: N802  # the name of the metric
    """Bytes per token x decode rate: of one stream, because several share each reading of the weights."""
    rate = _reduce(collect_values("decode_tps", timed), "median")
    if not timed.bytes_per_token or timed.streams > 1 or rate is None:
        return None
    return timed.bytes_per_token * rate / 1e9


@per_pass
def tokens_per_joule(timed: Pass) -> float | None:
    """Σ n over the energy of the pass; None without a power sensor."""
    return timed.tokens / timed.joules if timed.joules and timed.tokens else None


@per_pass
def tokens_per_chunk(timed: Pass) -> float | None:
    """Tokens over token chunks; other than 1, the gaps between chunks are not gaps between tokens."""
    chunks = sum(len(sample.token_times_s) for sample in timed.answered if sample.completion_tokens)
    return timed.tokens / chunks if chunks else None


def collect_values(metric: str, timed: Pass) -> np.ndarray:
    """What the statistic of `metric` is taken over: a value of each request, each gap, or of the whole pass."""
    return _VALUES[metric](timed)


def compute_metrics(timed: Pass) -> dict[str, float]:
    """Every metric of one launch that can be computed, for the reader: rates are medians over requests."""
    instead: dict[Statistic, Statistic] = {"geometric mean": "median"}
    return _compute(timed, {row.name: instead.get(row.statistic, row.statistic) for row in METRICS})


def compute_gated(timed: Pass, workload: Workload) -> dict[str, float]:
    """The launch's one value of each gated metric, by the metric's statistic, as it enters the comparison of launches."""
    return _compute(timed, {name: find_metric(name).statistic for name in workload.gated})


def _compute(timed: Pass, statistics: Mapping[str, Statistic]) -> dict[str, float]:
    values = {name: _reduce(collect_values(name, timed), how) for name, how in statistics.items()}
    return {name: value for name, value in values.items() if value is not None}


def _reduce(values: np.ndarray, statistic: Statistic) -> float | None:
    if not values.size:
        return None
    match statistic:
        case "geometric mean":
            return compute_geometric_mean(values)
        case "median":
            return float(np.median(values))
        case "p99":
            return float(np.percentile(values, 99))
        case "whole":
            return float(values[0])


def compute_geometric_mean(values: Sequence[float] | np.ndarray) -> float | None:
    """The mean of the logarithms, which launches are compared by, as a value again; None without values."""
    return float(np.exp(np.mean(np.log(values)))) if len(values) else None


def compute_context(samples: Iterable[Sample]) -> float:
    """Mean number of tokens in front of a token of the answer: the prompt and half of the answer."""
    lengths = [
        sample.prompt_tokens + sample.completion_tokens / 2
        for sample in samples
        if sample.prompt_tokens is not None and sample.completion_tokens is not None
    ]
    return float(np.mean(lengths)) if lengths else 0.0
