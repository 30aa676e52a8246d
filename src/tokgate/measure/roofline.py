"""Roofline: what a chip allows a model at best, and how much of that a measurement used. Pure.

A decoded token reads every weight but the input embedding once, and the KV cache of its context; a
prefilled token costs 2 FLOP for each of those weights. Whatever is faster than the memory on paper was
not measured but mistaken: a cache hit, speculation, miscounted tokens.
"""

from __future__ import annotations

import msgspec

from tokgate.measure.measurement import Problem
from tokgate.spec.hardware import Hardware

FLOP_PER_PARAMETER = 2


class Ceiling(msgspec.Struct, frozen=True, kw_only=True):
    """What one pair of limits allows; None where the limit behind it is not known.

    decode_tps: one stream; prefill_tps: prompt tokens a second; streams: how many at once until the
    arithmetic takes as long as the reading, below which more users cost nothing.
    """

    bandwidth_GBps: float | None
    fp16_tflops: float | None
    decode_tps: float | None
    prefill_tps: float | None
    streams: float | None


class BandwidthUse(msgspec.Struct, frozen=True, kw_only=True):
    """What a single stream's decode rate says of the memory.

    of_theoretical, of_measured: shares (1.0 is all); bound_tps: the rate at the theoretical bandwidth.
    """

    effective_GBps: float
    of_theoretical: float
    of_measured: float | None
    bound_tps: float


def ceilings(
    hardware: Hardware, *, bytes_per_token: float, parameters_per_token: float
) -> tuple[Ceiling, Ceiling]:
    """(on paper, as measured on such chips).

    bytes_per_token: bytes read for one token: weights, and the KV cache of its context if that counts.
    parameters_per_token: weights multiplied for one token: all but the input embedding.
    Raises ValueError: not above zero.
    """
    _positive(bytes_per_token=bytes_per_token, parameters_per_token=parameters_per_token)
    return (
        _ceiling(hardware.bandwidth_GBps, hardware.fp16_tflops, bytes_per_token, parameters_per_token),
        _ceiling(
            hardware.bandwidth_measured_GBps,
            hardware.fp16_measured_tflops,
            bytes_per_token,
            parameters_per_token,
        ),
    )


def bandwidth_use(hardware: Hardware, *, bytes_per_token: float, decode_tps: float) -> BandwidthUse:
    """How much of the memory's bandwidth one stream of `decode_tps` used. Raises ValueError: not above zero."""
    _positive(bytes_per_token=bytes_per_token, decode_tps=decode_tps)
    effective_GBps = bytes_per_token * decode_tps / 1e9
    measured = hardware.bandwidth_measured_GBps
    return BandwidthUse(
        effective_GBps=effective_GBps,
        of_theoretical=effective_GBps / hardware.bandwidth_GBps,
        of_measured=None if measured is None else effective_GBps / measured,
        bound_tps=hardware.bandwidth_GBps * 1e9 / bytes_per_token,
    )


def prefill_share(hardware: Hardware, *, parameters_per_token: float, prefill_tps: float) -> float | None:
    """Share of the FP16 peak that prefill used; None when the peak is not known."""
    _positive(parameters_per_token=parameters_per_token, prefill_tps=prefill_tps)
    if hardware.fp16_tflops is None:
        return None
    return FLOP_PER_PARAMETER * parameters_per_token * prefill_tps / (hardware.fp16_tflops * 1e12)


def above_roofline(hardware: Hardware, *, bytes_per_token: float, decode_tps: float) -> Problem | None:
    """Why a single stream's rate cannot be true; None when the memory allows it."""
    use = bandwidth_use(hardware, bytes_per_token=bytes_per_token, decode_tps=decode_tps)
    if use.of_theoretical <= 1:
        return None
    return Problem(
        rule="above_roofline",
        detail=f"{decode_tps:.4g} tok/s would read {use.effective_GBps:.4g} GB/s, {use.of_theoretical:.0%} of "
        f"the {hardware.bandwidth_GBps:.4g} GB/s that {hardware.name} has on paper (bound "
        f"{use.bound_tps:.4g} tok/s): look for cached or speculated tokens, or a wrong `bytes_per_token`",
    )


def _ceiling(
    bandwidth_GBps: float | None,
    fp16_tflops: float | None,
    bytes_per_token: float,
    parameters_per_token: float,
) -> Ceiling:
    flop = FLOP_PER_PARAMETER * parameters_per_token
    decode_tps = None if bandwidth_GBps is None else bandwidth_GBps * 1e9 / bytes_per_token
    prefill_tps = None if fp16_tflops is None else fp16_tflops * 1e12 / flop
    return Ceiling(
        bandwidth_GBps=bandwidth_GBps,
        fp16_tflops=fp16_tflops,
        decode_tps=decode_tps,
        prefill_tps=prefill_tps,
        streams=prefill_tps / decode_tps if decode_tps is not None and prefill_tps is not None else None,
    )


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{name} is {value}; expected a number above zero")
