"""HostReport: the activity of the host during one timed region, as the monitor saw it."""

from __future__ import annotations

from itertools import pairwise

import msgspec


class Culprit(msgspec.Struct, frozen=True, kw_only=True):
    """The program that took most CPU from the measurement.

    pid: its busiest process.
    cores: mean CPUs of all its processes over the region.
    processes: how many they were.
    """

    name: str
    pid: int
    cores: float
    processes: int

    def __str__(self) -> str:
        count = f" and {self.processes - 1} more" if self.processes > 1 else ""
        return f"{self.name} (pid {self.pid}{count}), {self.cores:.2f} cores"


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """The extremes and the mean of one series over the region."""

    low: float
    mean: float
    high: float


class HostReport(msgspec.Struct, frozen=True, kw_only=True):
    """The activity of the host during one timed region. Unknown values are None, or absent and listed in `unknown`.

    others_cores: mean CPUs of processes other than tokgate's and the server's; None when the server's
    processes are not known.
    culprit: the program that took most of that.
    steal: share of the machine's CPU time that the hypervisor gave to others.
    pressure: share of the time that tasks waited, by resource and kind (`cpu_some`).
    swapped_bytes: bytes moved to or from swap.
    throttled: growth of each limit's counter (0: not at all).
    gpu_joules: growth of the GPU's energy counter; None without such a counter.
    levels: extremes of the series. timeline: their values at each of `at_s` (seconds from the start).
    monitor_cores: mean CPUs of the monitor itself.
    """

    duration_s: float
    cpus: int
    others_cores: float | None
    culprit: Culprit | None
    steal: float | None
    pressure: dict[str, float]
    swapped_bytes: int | None
    throttled: dict[str, int]
    gpu_joules: float | None = None
    governor: str | None
    levels: dict[str, Level]
    at_s: tuple[float, ...]
    timeline: dict[str, tuple[float | None, ...]]
    unknown: tuple[str, ...]
    monitor_cores: float

    @property
    def energy_joules(self) -> float | None:
        """Energy of the GPU (on an APU with the CPU's) over the region; None without a sensor.

        The growth of its counter, else the integral of the power readings.
        """
        if self.gpu_joules:  # one that did not move is not a reading
            return self.gpu_joules
        watts = zip(self.at_s, self.timeline.get("gpu_power_W", ()), strict=False)
        known = [(at_s, power) for at_s, power in watts if power is not None]
        if not known:
            return None
        # The first and the last reading hold until the ends of the region.
        points = [(0.0, known[0][1]), *known, (self.duration_s, known[-1][1])]
        return sum(
            (power + next_power) / 2 * (next_s - at_s) for (at_s, power), (next_s, next_power) in pairwise(points)
        )
