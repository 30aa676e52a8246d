"""The host while it was measured: its sensors on one axis of time, and who else was busy."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import accumulate
from statistics import fmean

import msgspec

from tokgate.config.words import format_number
from tokgate.machine.host import Culprit
from tokgate.measure.measurement import Measurement

SENSORS = {
    "gpu_sclk_MHz": "GPU clock, MHz",
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
"""Values of a sensor that a page draws, at most, besides the gaps."""


class Track(msgspec.Struct, frozen=True, kw_only=True):
    """One sensor: its values in the timed regions, put one after another.

    at_s: seconds of measuring so far; values: None between two regions; told: what was measured, and when.
    """

    title: str
    at_s: tuple[float, ...]
    values: tuple[float | None, ...]
    told: tuple[str, ...]
    low: str
    mean: str
    high: str


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """tracks: the sensors that were read. borders_s: where a region ends, in seconds of measuring.

    disturbed: who else took CPU, the busiest first, and which passes were therefore made again.
    unknown: what could not be read.
    """

    tracks: tuple[Track, ...] = ()
    borders_s: tuple[float, ...] = ()
    disturbed: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


def host(measurements: Sequence[Measurement]) -> Host:
    """What the monitor saw in the timed regions of a run, in the order of time."""
    ordered = sorted(measurements, key=lambda one: one.started)
    borders_s = tuple(accumulate(one.host.duration_s for one in ordered))
    named = [name for name in SENSORS if any(name in one.host.timeline for one in ordered)]
    return Host(
        tracks=tuple(track for name in named if (track := _track(name, ordered, borders_s)) is not None),
        borders_s=borders_s,
        disturbed=(*_busiest(ordered), *_repeated(ordered)),
        unknown=tuple(sorted({name for one in ordered for name in one.host.unknown})),
    )


def _busiest(ordered: Sequence[Measurement]) -> tuple[str, ...]:
    """Each program that was busiest in some region and took a share worth naming, at its worst."""
    seen: dict[str, list[Culprit]] = {}
    for one in ordered:
        if (culprit := one.host.culprit) is not None and culprit.cores >= WORTH_NAMING_CORES:
            seen.setdefault(culprit.name, []).append(culprit)
    worst = {name: max(found, key=lambda one: one.cores) for name, found in seen.items()}
    return tuple(
        f"{culprit} at most, in {len(seen[name])} of {len(ordered)} measurements"
        for name, culprit in sorted(worst.items(), key=lambda item: -item[1].cores)
    )


def _repeated(ordered: Sequence[Measurement]) -> tuple[str, ...]:
    return tuple(
        f"{one.server} {one.workload}, launch {one.launch} was driven again: {problem.rule}: {problem.detail}"
        for one in ordered
        for problem in one.disturbed
    )


def _track(name: str, ordered: Sequence[Measurement], borders_s: Sequence[float]) -> Track | None:
    at_s: list[float] = []
    values: list[float | None] = []
    told: list[str] = []
    for one, end_s in zip(ordered, borders_s, strict=True):
        start_s, started = end_s - one.host.duration_s, datetime.fromisoformat(one.started)
        about = f"{one.server} {one.workload}, launch {one.launch}"
        for moment_s, value in zip(one.host.at_s, one.host.timeline.get(name, ()), strict=False):
            at_s.append(round(start_s + moment_s, 2))
            values.append(value)
            told.append(f"{about}, {started + timedelta(seconds=moment_s):%H:%M:%S} UTC")
        at_s.append(round(end_s, 2))
        values.append(None)
        told.append("")
    known = [value for value in values if value is not None]
    if not known:
        return None
    kept = _kept(values)
    return Track(
        title=SENSORS[name],
        at_s=tuple(at_s[at] for at in kept),
        values=tuple(values[at] for at in kept),
        told=tuple(told[at] for at in kept),
        low=format_number(min(known)),
        mean=format_number(fmean(known)),
        high=format_number(max(known)),
    )


def _kept(values: Sequence[float | None]) -> list[int]:
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
