"""Trends: earlier values of a run's cells, with the changes of machine and server between them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

import msgspec
from msgspec.structs import replace

from tokgate._exceptions import UsageError
from tokgate.config.words import ABSENT, format_change, format_figure
from tokgate.judge.cell import CaseKey, CellKey
from tokgate.machine.fingerprint import find_differences
from tokgate.report.badge import Badge
from tokgate.report.changes import date_changes
from tokgate.store.history import Point, Series
from tokgate.store.runs import RunRecord, find_gate_verdict

SHOWN = 365
"""Newest runs of a series that are drawn: a year of nights; `tokgate history` has the whole series."""

SEARCHED = 120
"""Newest runs of a series in which change points are looked for; `tokgate history changes` looks through all."""

_SPARK = 40  # points of a small line; more would be less than two pixels apart
_BEFORE = 10  # runs whose median is "before": enough for one odd night not to matter


class Mark(msgspec.Struct, frozen=True):
    """Something that happened at a run: its time, and what it was."""

    at: str
    text: str


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """A change point: when the new level began, of which figure, its text, and the suspects: what else changed there."""

    at: str
    about: str
    badge: Badge
    text: str
    suspects: tuple[str, ...]
    open: bool


class Trend(msgspec.Struct, frozen=True, kw_only=True):
    """The newest SHOWN runs of one series.

    facts: what changed in the fingerprint; turns: the change points, the oldest first.
    before: median of up to ten runs before the last; spark: the newest forty as points of a line in a box of 100 × 20.
    """

    series: Series
    facts: tuple[Mark, ...]
    turns: tuple[Turn, ...]
    total: int
    last: str
    before: str
    change: str
    spark: str


def collect_trends(record: RunRecord, history: Sequence[Series]) -> tuple[tuple[Trend, ...], str]:
    """The series that this run continues, in its own order of cells; not those that begin with it.

    With them, why no change points were looked for; empty if they were.
    """
    cases = dict.fromkeys(CaseKey(run.server, run.workload) for run in record.measurements)
    order = {case: at for at, case in enumerate(cases)}
    mine = [
        _as_judged(series, record)
        for series in history
        if len(series.points) > 1 and any(point.run_id == record.run_id for point in series.points[-SHOWN:])
    ]
    mine.sort(key=lambda series: order.get(CaseKey(series.server, series.workload), len(order)))
    newest = [replace(series, points=series.points[-SHOWN:]) for series in mine]
    try:
        turns, missing = [_find_turns(series) for series in newest], ""
    except UsageError as error:
        turns, missing = [()] * len(newest), str(error)
    return tuple(
        _make_trend(series, len(whole.points), changes)
        for series, whole, changes in zip(newest, mine, turns, strict=True)
    ), missing


def _as_judged(series: Series, record: RunRecord) -> Series:
    """The series with the value of this run as its verdict has it.

    A launch that confirmed another metric counts in the history of all, but not in a verdict given before it.
    """
    verdict = find_gate_verdict(record, CellKey(series.server, series.workload, series.metric))
    value = None if verdict is None else verdict.current
    if value is None:
        return series
    points = (replace(point, value=value) if point.run_id == record.run_id else point for point in series.points)
    return replace(series, points=tuple(points))


def collect_turns(trends: Sequence[Trend]) -> tuple[Turn, ...]:
    """The change points of all these series, the open ones first, then the newest."""
    turns = [turn for trend in trends for turn in trend.turns]
    turns.sort(key=lambda turn: turn.at, reverse=True)
    return tuple(sorted(turns, key=lambda turn: not turn.open))


def collect_marks(trends: Sequence[Trend]) -> tuple[Mark, ...]:
    """What changed between the runs of all these series, each once, by time."""
    unique = dict.fromkeys(mark for trend in trends for mark in trend.facts)
    return tuple(sorted(unique, key=lambda mark: mark.at))


def list_changes(record: RunRecord, history: Sequence[Series]) -> tuple[str, ...]:
    """What differs in machine and servers from the run before, as `key: was → is`, each once."""
    changes: dict[str, None] = {}
    for series in history:
        ids = [point.run_id for point in series.points]
        if record.run_id in ids and (at := ids.index(record.run_id)) > 0:
            changes.update(dict.fromkeys(_compare(series.points[at - 1], series.points[at])))
    return tuple(changes)


def _find_turns(series: Series) -> tuple[Turn, ...]:
    about = f"{series.server} {series.workload} {series.metric}"
    return tuple(
        Turn(
            at=turn.first.started,
            about=about,
            badge=Badge("▼", "worse", "bad") if turn.worse else Badge("▲", "better", "good"),
            text=f"{about}: {format_change(turn.change.ratio - 1)}, "
            f"{format_figure(series.metric, turn.change.before)} → "
            f"{format_figure(series.metric, turn.change.after)} ({turn.change.kind})",
            suspects=tuple(str(suspect) for suspect in turn.suspects),
            open=turn.open,
        )
        for turn in date_changes(replace(series, points=series.points[-SEARCHED:]))
    )


def _make_trend(series: Series, total: int, turns: tuple[Turn, ...]) -> Trend:
    points = series.points
    earlier = [point.value for point in points[:-1] if point.valid][-_BEFORE:]
    last = points[-1].value
    return Trend(
        series=series,
        facts=tuple(
            Mark(now.started, "; ".join(changed)) for was, now in pairwise(points) if (changed := _compare(was, now))
        ),
        turns=turns,
        total=total,
        last=format_figure(series.metric, last),
        before=format_figure(series.metric, median(earlier)) if earlier else ABSENT,
        change=format_change(last / median(earlier) - 1) if earlier and median(earlier) > 0 else ABSENT,
        spark=_draw_spark([point.value for point in points[-_SPARK:]]),
    )


def _compare(was: Point, now: Point) -> tuple[str, ...]:
    if was.fingerprint is now.fingerprint:
        return ()
    changes = find_differences(was.fingerprint, now.fingerprint)
    return tuple(str(change) for change in changes if change.weight != "told")


def _draw_spark(values: Sequence[float]) -> str:
    """Points of an SVG polyline in a box of 100 × 20, the largest value on top."""
    low, high = min(values), max(values)
    height, step = (high - low) or 1.0, 100 / max(len(values) - 1, 1)
    return " ".join(f"{at * step:.1f},{18 - 16 * (value - low) / height:.1f}" for at, value in enumerate(values))
