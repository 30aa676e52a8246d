"""The number of physical cores this process may use, by affinity, hyper-threads and cgroup quota."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from tokgate.machine.sysfs import ROOT, parse_int, read_int, read_text

_TOPOLOGY = Path("/sys/devices/system/cpu")
_CGROUPS = "sys/fs/cgroup"


def count_usable_cores() -> int:
    """The cores of the affinity mask, each counted once, at most as many as the CPU quota allows; at least 1."""
    # Hyper-threads list the same siblings; where the kernel does not say, each CPU is a core.
    cores = {
        read_text(_TOPOLOGY / f"cpu{cpu}/topology/thread_siblings_list") or str(cpu) for cpu in os.sched_getaffinity(0)
    }
    return max(1, min([len(cores), *map(int, read_cpu_quotas()), *map(int, _read_old_quotas())]))


def read_cpu_quotas(root: Path = ROOT) -> Iterator[float]:
    """Limits of this process's cgroup (v2) and of each above it, in CPUs."""
    for folder in _list_cgroups(root, "", _CGROUPS):
        words = (read_text(folder / "cpu.max") or "").partition(" ")
        quota, period = parse_int(words[0]), parse_int(words[2])  # the quota may be `max`
        if quota and period and quota > 0 and period > 0:
            yield quota / period


def _read_old_quotas() -> Iterator[float]:
    """The same of cgroup v1."""
    for folder in _list_cgroups(ROOT, "cpu", f"{_CGROUPS}/cpu"):
        quota, period = read_int(folder / "cpu.cfs_quota_us"), read_int(folder / "cpu.cfs_period_us")
        if quota and period and quota > 0 and period > 0:
            yield quota / period


def _list_cgroups(root: Path, controller: str, mount: str) -> Iterator[Path]:
    """The folders of this process's cgroup and of those above it, which limit it too. controller: "" for v2."""
    for line in (read_text(root / "proc/self/cgroup") or "").splitlines():
        _, _, rest = line.partition(":")
        controllers, colon, group = rest.partition(":")
        if colon and controller in controllers.split(","):
            folder = root / mount / group.strip("/")
            yield from (folder, *(parent for parent in folder.parents if parent.is_relative_to(root / mount)))
