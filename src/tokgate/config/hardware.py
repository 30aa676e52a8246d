"""Hardware: what a chip can do at best, as declared in `fixtures/hardware/NAME.yaml`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from tokgate.config.base import Spec

Positive = Annotated[float, Meta(gt=0)]


PROBED = "this machine (probed)"
"""The name of the hardware that a run measures itself, because its profile names none."""


class Hardware(Spec, frozen=True, kw_only=True):
    """Limits of a chip; at least one of the two bandwidths is known.

    name: set by the loader, from the file's name.
    description: one line for lists and reports.
    source: where the values come from.
    gfx_target_version: as the KFD topology states it (110501 is gfx1151).
    bandwidth_GBps: theoretical memory bandwidth, GB/s.
    bandwidth_measured_GBps: bandwidth that a copy reaches, GB/s.
    fp16_tflops: theoretical FP16 matrix peak, TFLOPS.
    fp16_measured_tflops: measured FP16 matrix peak, TFLOPS.
    """

    name: str = ""
    description: str
    source: str
    gfx_target_version: int | None = None
    bandwidth_GBps: Positive | None = None
    bandwidth_measured_GBps: Positive | None = None
    fp16_tflops: Positive | None = None
    fp16_measured_tflops: Positive | None = None

    def __post_init__(self) -> None:
        if self.bandwidth_GBps is None and self.bandwidth_measured_GBps is None:
            raise ValueError("`bandwidth_GBps` or `bandwidth_measured_GBps` is required")
