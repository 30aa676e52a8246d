"""What the client itself adds to its figures, seen against a server whose every send is known. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tokgate.config.words import format_change, format_count, format_percent
from tokgate.drive.sample import Sample
from tokgate.drive.truth.scenario import Record
from tokgate.measure.measurement import Bias, Problem
from tokgate.measure.metrics import Pass, decode_tps, output_tps, ttft_s


def bias_of(samples: Sequence[Sample], truth: Sequence[Record], *, streams: int) -> Bias:
    """Medians over requests; samples and truth in the same order. Raises ValueError when a request failed."""
    failed = [sample.error for sample in samples if sample.error is not None]
    if failed or len(samples) != len(truth):
        raise ValueError(f"{len(failed)} of {len(truth)} calibrating requests failed: {failed[:1]}")
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


def least(slices: Sequence[Bias]) -> Bias:
    """Of each figure the one nearest to none; the requests of all."""
    figures = ("ttft_s", "itl_s", "decode_tps", "output_tps")
    return Bias(
        streams=slices[0].streams,
        requests=sum(one.requests for one in slices),
        **{name: min((getattr(one, name) for one in slices), key=abs) for name in figures},
    )


def bias_shares(bias: Bias, found: Mapping[str, float]) -> dict[str, float]:
    """By metric, the bias as a share of the truth (fraction, + is more). found: the cell's metrics.

    TTFT's bias is told in seconds, so it counts by the TTFT that was measured; prefill_tps is made of that TTFT.
    """
    shares = {"decode_tps": bias.decode_tps, "output_tps": bias.output_tps}
    if found.get("ttft_s"):
        shares["ttft_s"] = shares["prefill_tps"] = bias.ttft_s / found["ttft_s"]
    return shares


def bias_problems(
    bias: Bias | None, found: Mapping[str, float], tolerance: Mapping[str, float]
) -> tuple[Problem, ...]:
    """By metric, where the bias is more than a change that is worth failing for.

    found: the cell's metrics; tolerance: fraction by metric. bias: None when it could not be taken.
    """
    if bias is None:
        failed = "requests to the calibrating server failed, so what this client adds is not known"
        return (Problem(rule="client_bias", detail=failed),)
    shares = bias_shares(bias, found)
    return tuple(
        Problem(
            rule="client_bias",
            detail=f"{metric}: this client is off by {format_change(shares[metric])} at {format_count(bias.streams, 'stream')}, "
            f"by {format_count(bias.requests, 'request')} to a server whose every send is known (tolerance {format_percent(limit)})",
        )
        for metric, limit in tolerance.items()
        if metric in shares and not abs(shares[metric]) <= limit
    )
