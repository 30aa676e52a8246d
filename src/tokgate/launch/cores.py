"""The number of physical cores this process may use, by affinity, hyper-threads and cgroup quota."""

from __future__ import annotations

import os
from pathlib import Path

_TOPOLOGY = Path("/sys/devices/system/cpu")
_CGROUPS = Path("/sys/fs/cgroup")


def count_usable_cores() -> int:
    """The cores of the affinity mask, each counted once, at most as many as the CPU quota allows; at least 1."""
    cpus = os.sched_getaffinity(0)
    cores = len({_siblings(cpu) for cpu in cpus})
    quota = _quota_cpus()
    return max(1, cores if quota is None else min(cores, int(quota)))


def _siblings(cpu: int) -> str:
    """The hyper-threads of this CPU's core; only itself where the kernel does not say."""
    return _read(_TOPOLOGY / f"cpu{cpu}/topology/thread_siblings_list") or str(cpu)


def _quota_cpus() -> float | None:
    """CPUs that this control group may use at most; None without a limit."""
    limits: list[float] = []
    for line in (_read(Path("/proc/self/cgroup")) or "").splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers == "":
            for folder in _upwards(_CGROUPS, group):
                limit, _, per = (_read(folder / "cpu.max") or "max").partition(" ")
                if limit != "max":
                    limits.append(int(limit) / int(per))
        elif "cpu" in controllers.split(","):
            for folder in _upwards(_CGROUPS / "cpu", group):
                quota, period = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
                if quota and period and int(quota) > 0:
                    limits.append(int(quota) / int(period))
    return min(limits, default=None)


def _upwards(root: Path, group: str) -> list[Path]:
    """The group's folder and those above it, which limit it too."""
    folder = root / group.strip("/")
    return [folder, *(parent for parent in folder.parents if parent.is_relative_to(root))]


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
