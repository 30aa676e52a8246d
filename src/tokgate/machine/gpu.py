"""Gpu: what tokgate reads from a GPU, whoever made it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

Reader = Callable[[], float | None]
"""Reads one level now; None where the sensor is missing. A missing sensor never counts as a good value."""


class GpuMemory(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of the driver's pools: VRAM (on an APU the BIOS carve-out) and AMD's GTT (system memory)."""

    vram_total: int | None = None
    gtt_total: int | None = None


class Gpu(Protocol):
    """One GPU of this box. What it does not state is None, or absent."""

    @property
    def name(self) -> str:
        """By which machines are compared, such as `gfx1151` or `NVIDIA H100 80GB HBM3`."""

    @property
    def driver(self) -> str | None:
        """The driver's version; None where the driver is part of the kernel."""

    @property
    def device_node(self) -> Path | None:
        """The node in /dev that a process which uses this GPU holds open."""

    def make_readers(self) -> dict[str, Reader]:
        """Readers of its levels by name: busy share, clocks, power, temperature and memory in use."""

    def read_memory(self) -> GpuMemory:
        """The size of its memory."""

    def read_joules(self) -> float | None:
        """Joules used so far, from a counter that only grows; None without such a counter."""

    def read_throttle_counters(self) -> dict[str, int]:
        """For how long each limit has throttled the chip so far, by name, in the driver's unit."""

    def read_facts(self) -> dict[str, str | int | None]:
        """Versions and settings of its driver that affect speed, by the key of the fingerprint."""
