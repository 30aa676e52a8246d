"""Roofline: the best that a chip allows a model, and how much of that a measurement used. Pure.

A decoded token reads every weight but the input embedding once, and the KV cache of its context; a
prefilled token costs 2 FLOP for each of those weights. A rate that exceeds the theoretical memory bandwidth is
a mistake: a cache hit, speculation, or miscounted tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from tokgate.config.hardware import Hardware
from tokgate.config.words import format_figure, format_percent, format_quantity
from tokgate.measure.measurement import Ceiling, Problem, Roofline

FLOP_PER_PARAMETER = 2  # one multiplication and one addition


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the chip one value used; None where a limit is unknown.

    effective_GBps: memory bandwidth (decode of one stream).
    effective_tflops: arithmetic (prefill).
    of_paper, of_measured: share of the theoretical limit, and of the limit measured on such chips (1.0 is all of it).
    possible: the value that the theoretical limit allows, in its own unit.
    """

    effective_GBps: float | None = None
    effective_tflops: float | None = None
    of_paper: float | None
    of_measured: float | None
    possible: float | None


def compute_roofline(
    hardware: Hardware | None,
    *,
    bytes_per_token: float | None,
    parameters_per_token: float | None,
    streams: int,
) -> Roofline | None:
    """What `hardware` allows a model; None if the chip or the bytes read per token are unknown.

    bytes_per_token: bytes read for one token: the weights, and the KV cache of its context if it is to count.
    parameters_per_token: number of weights multiplied for one token: all but the input embedding; None if unknown.
    streams: number of answers generated at once.
    Raises ValueError: not above zero.
    """
    if hardware is None or bytes_per_token is None:
        return None
    for name, value in (("bytes_per_token", bytes_per_token), ("parameters_per_token", parameters_per_token)):
        if value is not None and not value > 0:
            raise ValueError(f"{name} must be above zero (got {value})")

    def compute_ceiling(bandwidth_GBps: float | None, fp16_tflops: float | None) -> Ceiling:
        decode_tps = bandwidth_GBps * 1e9 / bytes_per_token if bandwidth_GBps else None
        prefill_tps = None
        if fp16_tflops is not None and parameters_per_token is not None:
            prefill_tps = fp16_tflops * 1e12 / (FLOP_PER_PARAMETER * parameters_per_token)
        return Ceiling(
            bandwidth_GBps=bandwidth_GBps,
            fp16_tflops=fp16_tflops,
            decode_tps=decode_tps,
            prefill_tps=prefill_tps,
            streams=prefill_tps / decode_tps if decode_tps and prefill_tps else None,
        )

    return Roofline(
        hardware=hardware.name,
        streams=streams,
        bytes_per_token=bytes_per_token,
        parameters_per_token=parameters_per_token,
        paper=compute_ceiling(hardware.bandwidth_GBps, hardware.fp16_tflops),
        measured=compute_ceiling(hardware.bandwidth_measured_GBps, hardware.fp16_measured_tflops),
    )


def compute_use(roof: Roofline | None, metric: str, value: float | None) -> Use | None:
    """How much of the chip a value used: of its memory for decode_tps of one stream, of its arithmetic for
    prefill_tps, of both for output_tps of several streams. None for anything else.
    """
    if roof is None or value is None or not value > 0:
        return None
    on_paper, as_measured = (_bound(ceiling, metric, roof.streams) for ceiling in (roof.paper, roof.measured))
    if on_paper is None and as_measured is None:
        return None
    flop = FLOP_PER_PARAMETER * (roof.parameters_per_token or 0)
    return Use(
        effective_GBps=roof.bytes_per_token * value / 1e9 if metric == "decode_tps" else None,
        effective_tflops=flop * value / 1e12 if metric == "prefill_tps" else None,
        of_paper=None if on_paper is None else value / on_paper,
        of_measured=None if as_measured is None else value / as_measured,
        possible=on_paper,
    )


def _bound(ceiling: Ceiling, metric: str, streams: int) -> float | None:
    """The highest value of `metric` that a pair of limits allows this number of streams."""
    if metric == "prefill_tps":
        return ceiling.prefill_tps
    if metric == "decode_tps" and streams == 1:
        return ceiling.decode_tps
    if metric == "output_tps" and streams > 1 and ceiling.decode_tps is not None:
        # One reading of the weights makes a token for every stream, until the arithmetic takes longer.
        return min(streams * ceiling.decode_tps, ceiling.prefill_tps or float("inf"))
    return None


def check_roofline(roof: Roofline | None, metrics: Mapping[str, float]) -> Iterator[Problem]:
    """Why a decode rate cannot be true; yields nothing if the memory allows it or is unknown."""
    for metric in ("decode_tps", "output_tps"):
        used = compute_use(roof, metric, metrics.get(metric))
        if roof is None or used is None or used.of_paper is None or used.of_paper <= 1:
            continue
        read = f"would read {format_quantity(used.effective_GBps, 'GB/s')}, " if used.effective_GBps else ""
        yield Problem(
            rule="above_roofline",
            detail=f"{format_figure(metric, metrics[metric])} ({metric}) {read}{format_percent(used.of_paper)} of the theoretical limit of "
            f"{roof.hardware} ({roof.paper.bandwidth_GBps:g} GB/s, at most {format_figure(metric, used.possible)}): check for "
            "cached or speculated tokens and for a wrong `bytes_per_token`",
        )
