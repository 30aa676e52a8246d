"""The host's sensors: readers of current levels by name, and counters that only grow."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from tokgate.machine.gpu import Gpu, Reader
from tokgate.machine.processes import TICK_S
from tokgate.machine.sysfs import parse_int, read_fields, read_int, read_text

_CPU_SENSORS = ("k10temp", "zenpower", "coretemp", "cpu_thermal")


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


class CpuTimes(NamedTuple):
    """Sums over all CPUs since boot, in seconds, and the number of tasks that run now."""

    busy_s: float
    steal_s: float
    total_s: float
    running: int


def read_cpu(root: Path) -> CpuTimes | None:
    """The machine's CPU times, without interrupts, which belong to no process."""
    fields = read_fields(root / "proc/stat")
    numbers = (parse_int(word) for word in fields.get("cpu", "").split()[:8])
    times = [ticks * TICK_S for ticks in numbers if ticks is not None]
    if len(times) < 8:
        return None
    user, nice, system, *_, steal = times
    return CpuTimes(user + nice + system, steal, sum(times), parse_int(fields.get("procs_running")) or 0)


def read_pressure(root: Path) -> dict[str, float]:
    """Seconds since boot in which some, or all, tasks waited, by resource and kind (`cpu_some`, `memory_full`)."""
    seconds = {}
    for resource in ("cpu", "io", "memory"):
        for kind, line in read_fields(root / "proc/pressure" / resource).items():
            if (total_us := parse_int(line.partition("total=")[2])) is not None:
                seconds[f"{resource}_{kind}"] = total_us * 1e-6
    return seconds


def read_swapped_pages(root: Path) -> int | None:
    """Pages moved to and from swap since boot."""
    fields = read_fields(root / "proc/vmstat")
    read_in, written = parse_int(fields.get("pswpin")), parse_int(fields.get("pswpout"))
    return None if read_in is None or written is None else read_in + written


def read_throttle_counters(root: Path, gpu: Gpu | None) -> dict[str, int]:
    """How often, or for how long, each known limit has throttled the CPU or the GPU since boot.

    cpu_*: Intel's counts of thermal events. gpu_*: see the GPU's class.
    """
    counters = {}
    for name in ("core_throttle_count", "package_throttle_count"):
        paths = (root / "sys/devices/system/cpu").glob(f"cpu[0-9]*/thermal_throttle/{name}")
        if known := [count for path in paths if (count := read_int(path)) is not None]:
            counters[f"cpu_{name.removesuffix('_count')}"] = sum(known)
    return counters | (gpu.read_throttle_counters() if gpu else {})


def _swap_used(root: Path) -> float | None:
    """Bytes in all swap areas; the columns are name, type, size, used and priority, and a name may contain spaces."""
    lines = (read_text(root / "proc/swaps") or "").splitlines()
    used_kB = [parse_int(line.rsplit(maxsplit=2)[-2]) for line in lines[1:] if len(line.split()) > 1]
    return sum(1024 * used for used in used_kB if used is not None) if lines else None


def _mean(values: list[int | None], scale: float) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) * scale if known else None
