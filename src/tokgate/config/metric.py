"""The metrics: one row each, which the workloads, the gate, the importers, the tables and the docs read.

A new metric is a row here and a function of its name in `measure/metrics.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

Direction = Literal["higher", "lower"]
Gate = Literal["always", "several streams", "limits", "on request"]
"""When a workload gates a metric without listing it under `gate`."""

Statistic = Literal["geometric mean", "median", "p99", "whole"]
"""How the requests of a launch become its one value; whole: it is computed from all of them together."""


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One row.

    name: as records, baselines and YAML write it. unit: as it follows a value.
    title: the heading of a table's column.
    direction: which values are better.
    tolerance: the drop (fraction) that is worth failing for.
    promise: the drop (fraction) that a run must be able to detect.
    gate: when a workload gates it by default.
    statistic: how the requests of a launch become its one value.
    definition: one sentence for the docs, without the period.
    """

    name: str
    unit: str
    title: str
    direction: Direction = "higher"
    tolerance: float = 0.03
    promise: float = 0.05
    gate: Gate = "on request"
    statistic: Statistic = "geometric mean"
    definition: str = ""


NOISY = 0.08, 0.12
"""Tolerance and promise where launches differ more than in a mean rate: the first token and the tails."""

# Rows are easier to compare when they are not one argument per line.
# fmt: off
METRICS: tuple[Metric, ...] = (
    Metric(
        name="output_tps", unit="tok/s", title="Throughput", gate="several streams", statistic="whole",
        definition="Σ n of all streams over the time from the first request written to the last token",
    ),
    Metric(
        name="decode_tps", unit="tok/s", title="Decode rate", gate="always",
        definition="(n − k) over the time from the first to the last token chunk; k is the number of tokens in "
        "the first token chunk",
    ),
    Metric(
        name="prefill_tps", unit="tok/s", title="Prefill rate", gate="always", tolerance=NOISY[0],
        promise=NOISY[1],
        definition="(p − c) / `ttft_s`; it is an *apparent* rate, because the time includes queueing and the "
        "first decode step",
    ),
    Metric(
        name="ttft_s", unit="s", title="Time to first token", direction="lower", gate="always",
        statistic="median", tolerance=NOISY[0], promise=NOISY[1],
        definition="time from the request written to the first chunk with a non-empty content, reasoning or "
        "tool-call delta",
    ),
    Metric(
        name="goodput_rps", unit="req/s", title="Goodput", gate="limits", statistic="whole",
        definition="requests per second that met every limit of the workload",
    ),
    Metric(
        name="ttfb_s", unit="s", title="Time to first byte", direction="lower", statistic="median",
        tolerance=NOISY[0], promise=NOISY[1],
        definition="time from the request written to the first byte of the response",
    ),
    Metric(
        name="tpot_s", unit="s", title="Time per output token", direction="lower", statistic="median",
        definition="1 / `decode_tps` of each request",
    ),
    Metric(
        name="itl_s", unit="s", title="Inter-token latency", direction="lower", statistic="median",
        definition="time between consecutive token chunks, all requests together",
    ),
    Metric(
        name="itl_p99_s", unit="s", title="Inter-token latency, p99", direction="lower", statistic="p99",
        tolerance=NOISY[0], promise=NOISY[1],
        definition="99th percentile of the time between consecutive token chunks, all requests together",
    ),
    Metric(
        name="effective_GBps", unit="GB/s", title="Memory bandwidth used", statistic="whole",
        definition="bytes read per token (the weights, and the KV cache of its context) × the median "
        "`decode_tps`; one stream only",
    ),
    Metric(
        name="tokens_per_joule", unit="tok/J", title="Tokens per joule", statistic="whole",
        definition="Σ n over the energy that the GPU's power sensor (on an APU: of GPU and CPU) reports for the "
        "timed requests, prefill included; absent without a sensor",
    ),
    Metric(
        name="tokens_per_chunk", unit="tok/chunk", title="Tokens per chunk", statistic="whole",
        definition="Σ n over the number of token chunks; unless it is 1, gaps between chunks are not gaps "
        "between tokens",
    ),
)
# fmt: on
METRIC_NAMES: tuple[str, ...] = tuple(metric.name for metric in METRICS)

if TYPE_CHECKING:
    MetricName = str
else:
    MetricName = Literal[METRIC_NAMES]  # YAML is checked against it; only the type checker needs a plain name


def find_metric(name: str) -> Metric:
    """The row of `name`. An import or a newer record may have others: their names say unit and direction."""
    for metric in METRICS:
        if metric.name == name:
            return metric
    ending = name.rsplit("_", 1)[-1]
    unit = next((metric.unit for metric in METRICS if metric.name.endswith(f"_{ending}")), "")
    return Metric(name=name, unit=unit, title=name, direction="lower" if ending == "s" else "higher")
