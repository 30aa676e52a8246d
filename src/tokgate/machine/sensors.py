"""The box's sensors: readers of current levels by name, and counters that only grow.

A reader gives None where its file is missing or empty; a missing sensor never counts as a good value.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from tokgate.machine.devices import Gpu
from tokgate.machine.processes import TICK_S
from tokgate.machine.sysfs import read_fields, read_int, read_text

Reader = Callable[[], float | None]

_NOWHERE = Path(os.devnull)  # there is no file below it
_CPU_SENSORS = ("k10temp", "zenpower", "coretemp", "cpu_thermal")
_CURRENT_CLOCK = re.compile(r"(\d+)Mhz \*", re.IGNORECASE)

# gpu_metrics v3.0, the table of gfx1151: the times since boot, in its own unit, for which each limit throttled
# the chip (struct gpu_metrics_v3_0 of the kernel's kgd_pp_interface.h).
_METRICS_V3_0 = (3, 0)
_RESIDENCIES = struct.Struct("<7I")
_RESIDENCIES_AT = 228
_RESIDENCY_NAMES = ("prochot", "spl", "fppt", "sppt", "thm_core", "thm_gfx", "thm_soc")


def host_levels(root: Path) -> dict[str, Reader]:
    """CPU clock (mean over CPUs) and temperature, and swap in use."""
    clocks = sorted((root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))
    chips = [
        path.parent
        for path in sorted((root / "sys/class/hwmon").glob("hwmon*/name"))
        if read_text(path) in _CPU_SENSORS
    ]
    return {
        "cpu_MHz": lambda: _mean([read_int(path) for path in clocks], 1e-3),
        "cpu_temp_C": lambda: _mean([read_int(chip / "temp1_input") for chip in chips[:1]], 1e-3),
        "swap_used_bytes": lambda: _swap_used(root),
    }


def gpu_levels(gpu: Gpu) -> dict[str, Reader]:
    """Busy share, shader clock, power (on an APU with the CPU's), temperature and memory of one GPU."""
    device = gpu.device or _NOWHERE
    hwmon = next(iter(sorted((device / "hwmon").glob("hwmon*"))), device)
    return {
        "gpu_busy_pct": lambda: read_int(device / "gpu_busy_percent"),
        "gpu_sclk_MHz": lambda: _current_clock(device / "pp_dpm_sclk"),
        "gpu_power_W": lambda: _scaled(read_int(hwmon / "power1_average") or read_int(hwmon / "power1_input"), 1e-6),
        "gpu_temp_C": lambda: _scaled(read_int(hwmon / "temp1_input"), 1e-3),
        "gpu_vram_used_bytes": lambda: read_int(device / "mem_info_vram_used"),
        "gpu_gtt_used_bytes": lambda: read_int(device / "mem_info_gtt_used"),
    }


class CpuTimes(NamedTuple):
    """Sums over all CPUs since boot, in seconds, and the number of tasks that run now."""

    busy_s: float
    steal_s: float
    total_s: float
    running: int


def read_cpu(root: Path) -> CpuTimes | None:
    """The machine's CPU times, without interrupts, which belong to no process."""
    fields = read_fields(root / "proc/stat")
    times = [int(word) * TICK_S for word in fields.get("cpu", "").split()[:8]]
    if len(times) < 8:
        return None
    user, nice, system, *_, steal = times
    return CpuTimes(user + nice + system, steal, sum(times), int(fields.get("procs_running", 0)))


def read_pressure(root: Path) -> dict[str, float]:
    """Seconds since boot in which some, or all, tasks waited, by resource and kind (`cpu_some`, `memory_full`)."""
    seconds = {}
    for resource in ("cpu", "io", "memory"):
        for kind, line in read_fields(root / "proc/pressure" / resource).items():
            _, separator, total_us = line.partition("total=")
            if separator:
                seconds[f"{resource}_{kind}"] = int(total_us) * 1e-6
    return seconds


def read_swapped_pages(root: Path) -> int | None:
    """Pages moved to and from swap since boot."""
    fields = read_fields(root / "proc/vmstat")
    try:
        return int(fields["pswpin"]) + int(fields["pswpout"])
    except KeyError:
        return None


def read_throttle_counters(root: Path, gpu: Gpu | None) -> dict[str, int]:
    """How often, or for how long, each known limit has throttled the CPU or the GPU since boot.

    cpu_*: Intel's counts of thermal events. gpu_prochot, gpu_thm_*: heat; gpu_spl, gpu_fppt, gpu_sppt:
    the sustained, fast and slow power limits.
    """
    counters = {}
    for name in ("core_throttle_count", "package_throttle_count"):
        paths = (root / "sys/devices/system/cpu").glob(f"cpu[0-9]*/thermal_throttle/{name}")
        if known := [count for path in paths if (count := read_int(path)) is not None]:
            counters[f"cpu_{name.removesuffix('_count')}"] = sum(known)
    return counters | _gpu_residencies(gpu)


def _gpu_residencies(gpu: Gpu | None) -> dict[str, int]:
    if gpu is None or gpu.device is None:
        return {}
    try:
        table = (gpu.device / "gpu_metrics").read_bytes()
    except OSError:
        return {}
    if tuple(table[2:4]) != _METRICS_V3_0 or len(table) < _RESIDENCIES_AT + _RESIDENCIES.size:
        return {}
    values = _RESIDENCIES.unpack_from(table, _RESIDENCIES_AT)
    return {f"gpu_{name}": value for name, value in zip(_RESIDENCY_NAMES, values, strict=True)}


def _swap_used(root: Path) -> float | None:
    lines = (read_text(root / "proc/swaps") or "").splitlines()
    return sum(int(line.split()[-2]) * 1024 for line in lines[1:]) if lines else None


def _current_clock(path: Path) -> float | None:
    match = _CURRENT_CLOCK.search(read_text(path) or "")
    return float(match[1]) if match else None


def _mean(values: list[int | None], scale: float) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) * scale if known else None


def _scaled(value: int | None, scale: float) -> float | None:
    return None if value is None else value * scale
