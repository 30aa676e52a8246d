"""The bias of the client: its values against those of a server that records every send. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tokgate.config.words import format_change, format_count, format_percent
from tokgate.drive.sample import Sample
from tokgate.drive.truth.scenario import Record
from tokgate.measure.measurement import Bias, Problem
from tokgate.measure.metrics import Pass, decode_tps, output_tps, ttft_s


def compute_bias(samples: Sequence[Sample], truth: Sequence[Record], *, streams: int) -> Bias:
    """The medians over requests; samples and truth in the same order. Raises ValueError if a request failed."""
    failed = [sample.error for sample in samples if sample.error is not None]
    if failed or len(samples) != len(truth):
        raise ValueError(f"{len(failed)} of {len(truth)} calibration requests failed: {failed[:1]}")
    pairs = list(zip(samples, truth, strict=True))
    first = [(ttft_s(sample) or np.nan) - record.ttft_s for sample, record in pairs]
    rates = [((decode_tps(sample) or np.nan), record.decode_tps) for sample, record in pairs]
    last_s = max(record.sends[-1][0] for record in truth)
    true_output = sum(tokens for record in truth for _, tokens in record.sends) / (
        last_s - min(record.received_s for record in truth)
    )
    return Bias(
        streams=streams,
        requests=len(pairs),
        ttft_s=float(np.median(first)),
        itl_s=float(np.median([1 / ours - 1 / theirs for ours, theirs in rates])),
        decode_tps=float(np.median([ours / theirs for ours, theirs in rates])) - 1,
        output_tps=(output_tps(Pass(samples)) or np.nan) / true_output - 1,
    )


def pick_smallest(slices: Sequence[Bias]) -> Bias:
    """Of each value the one nearest to zero; the requests of all."""
    figures = ("ttft_s", "itl_s", "decode_tps", "output_tps")
    return Bias(
        streams=slices[0].streams,
        requests=sum(part.requests for part in slices),
        **{name: min((getattr(part, name) for part in slices), key=abs) for name in figures},
    )


def compute_bias_shares(bias: Bias, metrics: Mapping[str, float]) -> dict[str, float]:
    """By metric, the bias as a share of the true value (fraction; positive: the client measures more).

    metrics: the cell's metrics. The bias of TTFT is in seconds, so it is divided by the measured TTFT, of which
        prefill_tps is computed, too.
    """
    shares = {"decode_tps": bias.decode_tps, "output_tps": bias.output_tps}
    if metrics.get("ttft_s"):
        shares["ttft_s"] = shares["prefill_tps"] = bias.ttft_s / metrics["ttft_s"]
    return shares


def check_bias(bias: Bias | None, metrics: Mapping[str, float], tolerance: Mapping[str, float]) -> tuple[Problem, ...]:
    """A problem for each metric whose bias exceeds its tolerance.

    bias: None if it could not be measured.
    metrics: the cell's metrics.
    tolerance: by metric, a fraction.
    """
    if bias is None:
        failed = "requests to the calibration server failed, so the bias of this client is unknown"
        return (Problem(rule="client_bias", detail=failed),)
    shares = compute_bias_shares(bias, metrics)
    return tuple(
        Problem(
            rule="client_bias",
            detail=f"{metric}: the bias of this client is {format_change(shares[metric])} "
            f"at {format_count(bias.streams, 'stream')}, measured with {format_count(bias.requests, 'request')} to a "
            f"server that records every send (tolerance {format_percent(limit)})",
        )
        for metric, limit in tolerance.items()
        if metric in shares and not abs(shares[metric]) <= limit
    )
