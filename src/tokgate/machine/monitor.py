"""Monitor: watches the host during a measurement.

A thread reads /proc and /sys about once a second. It reads all processes only before and after the region,
and in a second in which others were busy, to find out who they are. Its cost on two cores of a virtual
machine with 80 processes: 0.05 % of a core, and 0.2 % while others are busy.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import fmean
from types import TracebackType
from typing import NamedTuple, Self, TypeVar

from tokgate.machine.gpu import Gpu
from tokgate.machine.host import Culprit, HostReport, Level
from tokgate.machine.processes import (
    Process,
    find_family,
    read_process,
    read_processes,
    read_program,
    sum_cpu_s,
)
from tokgate.machine.sensors import (
    CpuTimes,
    host_levels,
    read_cpu,
    read_pressure,
    read_swapped_pages,
    read_throttle_counters,
)
from tokgate.machine.sysfs import ROOT, read_text

Count = TypeVar("Count", int, float)

_BUSY_CORES = 0.1  # CPUs of others from which on all processes are read, which costs four times as much


class _Usage(NamedTuple):
    """CPU used until one moment: by all processes, and by tokgate and the server (None: unknown)."""

    at_s: float
    cpu: CpuTimes | None
    family_s: float | None

    def others_cores_since(self, before: _Usage) -> float | None:
        """Mean CPUs of all other processes between two moments."""
        if self.cpu is None or before.cpu is None or self.family_s is None or before.family_s is None:
            return None
        others_s = self.cpu.busy_s - before.cpu.busy_s - (self.family_s - before.family_s)
        return max(others_s / (self.at_s - before.at_s), 0.0)  # both count in whole ticks


class _Moment(NamedTuple):
    """The counters that are compared between the start and the end of the region."""

    usage: _Usage
    pressure_s: dict[str, float]
    swapped_pages: int | None
    throttle: dict[str, int]
    joules: float | None


class Monitor:
    """Watches the host while its context lasts; `report` is available afterwards.

    server_pids: the server's processes on this host (their descendants count too); empty when it runs
    elsewhere, None when it runs here but its processes are not known.
    gpu: the GPU that the server uses, if any.
    interval_s: seconds between two readings.
    root: where /proc and /sys are, for tests.
    """

    report: HostReport

    def __init__(
        self,
        *,
        server_pids: Iterable[int] | None = (),
        gpu: Gpu | None = None,
        interval_s: float = 1.0,
        root: Path = ROOT,
    ) -> None:
        self._heads = None if server_pids is None else (os.getpid(), *server_pids)
        self._gpu, self._interval_s, self._root = gpu, interval_s, root
        declared = host_levels(root) | (gpu.make_readers() if gpu else {})
        self._readers = {name: read for name, read in declared.items() if read() is not None}
        self._blind = tuple(name for name in declared if name not in self._readers)
        self._at_s: list[float] = []
        self._timeline: dict[str, list[float | None]] = {
            name: [] for name in ("others_cores", "run_queue", *self._readers)
        }
        self._members: set[int] = set()
        self._others: dict[tuple[int, int], tuple[Process, float]] = {}
        self._looked = False
        self._cost_s = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="tokgate-monitor", daemon=True)

    def __enter__(self) -> Self:
        self._start = self._moment()
        self._latest = self._start.usage
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        if not self._at_s:  # the region was shorter than one interval
            self._sample()
        self.report = self._make_report(self._moment())

    def _watch(self) -> None:
        while not self._over.wait(self._interval_s):
            self._sample()
        self._cost_s = time.thread_time()

    def _sample(self) -> None:
        members = [process for pid in self._members if (process := read_process(pid, self._root))]
        usage = self._usage(members)
        others = usage.others_cores_since(self._latest)
        self._latest = usage
        self._at_s.append(round(usage.at_s - self._start.usage.at_s, 3))
        self._timeline["others_cores"].append(None if others is None else round(others, 3))
        self._timeline["run_queue"].append(None if usage.cpu is None else usage.cpu.running)
        for name, read in self._readers.items():
            value = read()
            self._timeline[name].append(None if value is None else round(value, 2))
        if others is not None and others > _BUSY_CORES:
            self._sort_processes(read_processes(self._root))

    def _moment(self) -> _Moment:
        processes = read_processes(self._root)
        usage = self._usage(self._sort_processes(processes))
        return _Moment(
            usage=usage,
            pressure_s=read_pressure(self._root),
            swapped_pages=read_swapped_pages(self._root),
            throttle=read_throttle_counters(self._root, self._gpu),
            joules=self._gpu.read_joules() if self._gpu else None,
        )

    def _usage(self, members: list[Process]) -> _Usage:
        # When a head is missing, its CPU would count as that of others.
        whole = self._heads is not None and {process.pid for process in members}.issuperset(self._heads)
        return _Usage(
            at_s=time.perf_counter(),
            cpu=read_cpu(self._root),
            family_s=sum_cpu_s(members) if whole else None,
        )

    def _sort_processes(self, processes: dict[int, Process]) -> list[Process]:
        """Separate our family from the others, and keep the CPU time of each of those when it was first seen."""
        self._members = find_family(processes, self._heads or ())
        for pid, process in processes.items():
            if pid not in self._members:
                key = (pid, process.started)
                # A process that was not there at first has used all of its time since.
                _, before_s = self._others.get(key, (process, 0.0 if self._looked else process.cpu_s))
                self._others[key] = (process, before_s)
        self._looked = True
        return [processes[pid] for pid in self._members]

    def _make_report(self, end: _Moment) -> HostReport:
        start = self._start
        duration_s = end.usage.at_s - start.usage.at_s
        others = end.usage.others_cores_since(start.usage)
        steal = _steal(start.usage.cpu, end.usage.cpu)
        waited_s = _subtract(start.pressure_s, end.pressure_s)
        pressure = {kind: seconds / duration_s for kind, seconds in waited_s.items()}
        swapped = None
        if start.swapped_pages is not None and end.swapped_pages is not None:
            swapped = (end.swapped_pages - start.swapped_pages) * os.sysconf("SC_PAGE_SIZE")
        throttled = _subtract(start.throttle, end.throttle)
        joules = None
        if start.joules is not None and end.joules is not None:
            joules = round(end.joules - start.joules, 3)  # it counts millijoules
        governor = read_text(self._root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
        facts = {
            "others_cores": others,
            "steal": steal,
            "pressure": pressure or None,
            "swapped_bytes": swapped,
            "throttled": throttled or None,
            "governor": governor,
        }
        levels = {
            name: Level(low=min(known), mean=fmean(known), high=max(known))
            for name, values in self._timeline.items()
            if (known := [value for value in values if value is not None])
        }
        return HostReport(
            duration_s=duration_s,
            cpus=os.cpu_count() or 1,
            others_cores=others,
            culprit=None if others is None else self._culprit(duration_s),
            steal=steal,
            pressure=pressure,
            swapped_bytes=swapped,
            throttled=throttled,
            gpu_joules=joules,
            governor=governor,
            levels=levels,
            at_s=tuple(self._at_s),
            timeline={name: tuple(self._timeline[name]) for name in levels},
            unknown=(*(name for name, fact in facts.items() if fact is None), *self._blind),
            monitor_cores=self._cost_s / duration_s,
        )

    def _culprit(self, duration_s: float) -> Culprit | None:
        """The program whose processes took most; processes of one name, such as a compiler's, count as one."""
        by_name: dict[str, list[tuple[float, int]]] = {}
        for process, before_s in self._others.values():
            if process.cpu_s > before_s:
                by_name.setdefault(process.name, []).append((process.cpu_s - before_s, process.pid))
        if not by_name:
            return None
        totals = {name: sum(used_s for used_s, _ in uses) for name, uses in by_name.items()}
        worst = max(totals, key=totals.__getitem__)
        _, busiest = max(by_name[worst])
        return Culprit(
            name=read_program(busiest, self._root) or worst,
            pid=busiest,
            cores=totals[worst] / duration_s,
            processes=len(by_name[worst]),
        )


def _subtract(before: Mapping[str, Count], after: Mapping[str, Count]) -> dict[str, Count]:
    return {name: count - before[name] for name, count in after.items() if name in before}


def _steal(start: CpuTimes | None, end: CpuTimes | None) -> float | None:
    if start is None or end is None or end.total_s <= start.total_s:
        return None
    return (end.steal_s - start.steal_s) / (end.total_s - start.total_s)
