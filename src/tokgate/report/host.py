"""Host activity: the sensors of the host on one time axis, and which other programs were busy."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import accumulate
from statistics import fmean

import msgspec

from tokgate.config.words import format_count, format_number
from tokgate.machine.host import Culprit
from tokgate.measure.measurement import Measurement

SENSORS = {
    "gpu_sclk_MHz": "GPU clock, MHz",
    "gpu_mclk_MHz": "GPU memory clock, MHz",
    "gpu_power_W": "GPU power, W",
    "gpu_temp_C": "GPU temperature, °C",
    "gpu_busy_pct": "GPU busy, %",
    "cpu_MHz": "CPU clock, MHz",
    "cpu_temp_C": "CPU temperature, °C",
    "others_cores": "other programs, cores",
    "run_queue": "tasks running",
}
"""What is drawn, in this order, with its unit."""

WORTH_NAMING_CORES = 0.05

DRAWN = 3000
"""Values of a sensor that a page draws, at most, besides the gaps: two for each pixel of a wide screen."""


class Track(msgspec.Struct, frozen=True, kw_only=True):
    """One sensor: its values in the timed regions, one after another.

    at_s: seconds of measuring so far; values: None between two regions; labels: what was measured, and when.
    """

    title: str
    at_s: tuple[float, ...]
    values: tuple[float | None, ...]
    labels: tuple[str, ...]
    low: str
    mean: str
    high: str


class HostActivity(msgspec.Struct, frozen=True, kw_only=True):
    """tracks: the sensors that were read. borders_s: where a region ends, in seconds of measuring.

    disturbed: which other programs used the CPU, the busiest first, and which passes were therefore repeated.
    unknown: the sensors that could not be read.
    """

    tracks: tuple[Track, ...] = ()
    borders_s: tuple[float, ...] = ()
    disturbed: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


def collect_host_activity(measurements: Sequence[Measurement]) -> HostActivity:
    """What the monitor saw in the timed regions of a run, in the order of time."""
    ordered = sorted(measurements, key=lambda run: run.started)
    borders_s = tuple(accumulate(run.host.duration_s for run in ordered))
    named = [name for name in SENSORS if any(name in run.host.timeline for run in ordered)]
    return HostActivity(
        tracks=tuple(track for name in named if (track := _make_track(name, ordered, borders_s)) is not None),
        borders_s=borders_s,
        disturbed=(*_find_busiest(ordered), *_list_repeated(ordered)),
        unknown=tuple(sorted({name for run in ordered for name in run.host.unknown})),
    )


def _find_busiest(ordered: Sequence[Measurement]) -> tuple[str, ...]:
    """Each program that was the busiest in some region and used enough CPU to be named, at its worst."""
    seen: dict[str, list[Culprit]] = {}
    for run in ordered:
        if (culprit := run.host.culprit) is not None and culprit.cores >= WORTH_NAMING_CORES:
            seen.setdefault(culprit.name, []).append(culprit)
    worst = {name: max(culprits, key=lambda culprit: culprit.cores) for name, culprits in seen.items()}
    return tuple(
        f"{culprit} at most, in {len(seen[name])} of {format_count(len(ordered), 'measurement')}"
        for name, culprit in sorted(worst.items(), key=lambda item: -item[1].cores)
    )


def _list_repeated(ordered: Sequence[Measurement]) -> tuple[str, ...]:
    return tuple(
        f"{run.server} {run.workload}, launch {run.launch} was repeated: {problem.rule}: {problem.detail}"
        for run in ordered
        for problem in run.disturbed
    )


def _make_track(name: str, ordered: Sequence[Measurement], borders_s: Sequence[float]) -> Track | None:
    points: list[tuple[float, float | None, str]] = []
    for run, end_s in zip(ordered, borders_s, strict=True):
        start_s, started = end_s - run.host.duration_s, datetime.fromisoformat(run.started)
        about = f"{run.server} {run.workload}, launch {run.launch}"
        for moment_s, value in zip(run.host.at_s, run.host.timeline.get(name, ()), strict=False):
            label = f"{about}, {started + timedelta(seconds=moment_s):%H:%M:%S} UTC"
            points.append((round(start_s + moment_s, 2), value, label))
        points.append((round(end_s, 2), None, ""))
    known = [value for _, value, _ in points if value is not None]
    if not known:
        return None
    at_s, values, labels = zip(*(points[at] for at in _select([value for _, value, _ in points])), strict=True)
    return Track(
        title=SENSORS[name],
        at_s=at_s,
        values=values,
        labels=labels,
        low=format_number(min(known)),
        mean=format_number(fmean(known)),
        high=format_number(max(known)),
    )


def _select(values: Sequence[float | None]) -> list[int]:
    """Which values to draw: of a long series the extremes of each stretch, so that no spike is lost, and the gaps."""
    stretch = -(-2 * len(values) // DRAWN)
    if stretch <= 2:
        return list(range(len(values)))
    kept: set[int] = set()
    for start in range(0, len(values), stretch):
        part = range(start, min(start + stretch, len(values)))
        kept.update(at for at in part if values[at] is None)
        known = [(value, at) for at in part if (value := values[at]) is not None]
        if known:
            kept.update((min(known)[1], max(known)[1]))
    return sorted(kept)
