"""Trends: what was measured of a run's cells before, with the changes of machine and server between."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

import msgspec
from msgspec.structs import replace

from tokgate._exceptions import UsageError
from tokgate.config.words import ABSENT, format_change, format_figure
from tokgate.machine.fingerprint import find_differences
from tokgate.report.badge import Badge
from tokgate.report.changes import changes_of
from tokgate.store.history import Point, Series
from tokgate.store.runs import RunRecord

SHOWN = 365
"""Newest runs of a series that are drawn; the whole of it is in `tokgate history`."""

SEARCHED = 120
"""Newest runs of a series in which change points are looked for; `tokgate history changes` looks through all."""

_SPARK = 40
_BEFORE = 10


class Mark(msgspec.Struct, frozen=True):
    """Something that happened at a run: its time, and what it was."""

    at: str
    text: str


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """A change point: when the new level began, of which figure, how it is shown, and what changed there: the suspects."""

    at: str
    about: str
    badge: Badge
    text: str
    suspects: tuple[str, ...]
    open: bool


class Trend(msgspec.Struct, frozen=True, kw_only=True):
    """One series, the newest SHOWN runs of it.

    values: the figure of each run, in the metric's unit; valid: whether each may be believed.
    facts: what changed in the fingerprint; turns: the change points, the oldest first; before: median of up to ten runs before the last; spark:
    the newest forty as the points of a line in a box of 100 × 20.
    """

    server: str
    workload: str
    metric: str
    times: tuple[str, ...]
    values: tuple[float, ...]
    valid: tuple[bool, ...]
    facts: tuple[Mark, ...]
    turns: tuple[Turn, ...]
    total: int
    last: str
    before: str
    change: str
    spark: str


def trends(record: RunRecord, history: Sequence[Series]) -> tuple[tuple[Trend, ...], str]:
    """The series that this run continues, in its own order of cells; a series that it begins is none.

    With them, why no change points were looked for; empty if they were.
    """
    order = {
        cell: at for at, cell in enumerate(dict.fromkeys((m.server, m.workload) for m in record.measurements))
    }
    mine = [
        one
        for one in history
        if len(one.points) > 1 and any(point.run_id == record.run_id for point in one.points[-SHOWN:])
    ]
    mine.sort(key=lambda one: order.get((one.server, one.workload), len(order)))
    shown = [replace(one, points=one.points[-SHOWN:]) for one in mine]
    try:
        turns, missing = [_turns(one) for one in shown], ""
    except UsageError as error:
        turns, missing = [()] * len(shown), str(error)
    return tuple(
        _trend(one, len(whole.points), found) for one, whole, found in zip(shown, mine, turns, strict=True)
    ), missing


def all_turns(shown: Sequence[Trend]) -> tuple[Turn, ...]:
    """The change points of all these series, those that are open first, then the newest."""
    found = [turn for one in shown for turn in one.turns]
    return tuple(
        sorted(sorted(found, key=lambda turn: turn.at, reverse=True), key=lambda turn: not turn.open)
    )


def marks(shown: Sequence[Trend]) -> tuple[Mark, ...]:
    """What changed between the runs of all these series, each once, by time."""
    found = dict.fromkeys(mark for one in shown for mark in one.facts)
    return tuple(sorted(found, key=lambda mark: mark.at))


def since_last(record: RunRecord, history: Sequence[Series]) -> tuple[str, ...]:
    """What differs in machine and servers from the run before, as `key: was → is`, each once."""
    found: dict[str, None] = {}
    for series in history:
        ids = [point.run_id for point in series.points]
        if record.run_id in ids and (at := ids.index(record.run_id)) > 0:
            found.update(dict.fromkeys(_changed(series.points[at - 1], series.points[at])))
    return tuple(found)


def _turns(series: Series) -> tuple[Turn, ...]:
    about = f"{series.server} {series.workload} {series.metric}"
    return tuple(
        Turn(
            at=one.first.started,
            about=about,
            badge=Badge("▼", "worse", "bad") if one.worse else Badge("▲", "better", "good"),
            text=f"{about}: {format_change(one.change.ratio - 1)}, "
            f"{format_figure(series.metric, one.change.before)} → {format_figure(series.metric, one.change.after)} "
            f"({one.change.kind})",
            suspects=tuple(str(suspect) for suspect in one.suspects),
            open=one.open,
        )
        for one in changes_of(replace(series, points=series.points[-SEARCHED:]))
    )


def _trend(series: Series, total: int, turns: tuple[Turn, ...]) -> Trend:
    points = series.points
    earlier = [point.value for point in points[:-1] if point.valid][-_BEFORE:]
    last = points[-1].value
    return Trend(
        server=series.server,
        workload=series.workload,
        metric=series.metric,
        times=tuple(point.started for point in points),
        values=tuple(point.value for point in points),
        valid=tuple(point.valid for point in points),
        facts=tuple(
            Mark(now.started, "; ".join(changed))
            for was, now in pairwise(points)
            if (changed := _changed(was, now))
        ),
        turns=turns,
        total=total,
        last=format_figure(series.metric, last),
        before=format_figure(series.metric, median(earlier)) if earlier else ABSENT,
        change=format_change(last / median(earlier) - 1) if earlier and median(earlier) > 0 else ABSENT,
        spark=_spark([point.value for point in points[-_SPARK:]]),
    )


def _changed(was: Point, now: Point) -> tuple[str, ...]:
    if was.fingerprint is now.fingerprint:
        return ()
    return tuple(
        str(one) for one in find_differences(was.fingerprint, now.fingerprint) if one.weight != "told"
    )


def _spark(values: Sequence[float]) -> str:
    """Points of an SVG polyline in a box of 100 × 20, the largest value on top."""
    low, high = min(values), max(values)
    height, step = (high - low) or 1.0, 100 / max(len(values) - 1, 1)
    return " ".join(f"{at * step:.1f},{18 - 16 * (one - low) / height:.1f}" for at, one in enumerate(values))
