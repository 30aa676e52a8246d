"""Changes in a history: each dated to the run with which it began, with what else changed there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from statistics import fmean

import msgspec

from tokgate.config.metric import find_metric
from tokgate.judge.changepoint import FEWEST, Change, find_changes
from tokgate.machine.fingerprint import Difference, find_differences
from tokgate.store.history import Point, Series

OPEN = timedelta(days=30)
"""How long a change for the worse is reported as open: a month of nights is enough to act on it or to accept it."""

LASTING = 7
"""Runs after which a step is open that showed neither in one night nor as a slide: shorter ones are mostly chance."""


class DatedChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change of a series, between two of its runs.

    last, first: the last run before it and the first of it; shown: the run in which it showed, where that
    is known (a step is seen from both sides). worse: whether it is one for the worse.
    open: worse, seen as it happened or lasting, within `OPEN` of the newest run, and the latest runs are still
    nearer to it than to before.
    suspects: the differences between the fingerprints of `last` and `first` (for a slide: of its window).
    """

    change: Change
    last: Point
    first: Point
    shown: Point | None
    worse: bool
    open: bool
    suspects: tuple[Difference, ...]


def select_usable(series: Series) -> tuple[Point, ...]:
    """The points that change points are looked for in: valid, and above zero."""
    return tuple(point for point in series.points if point.valid and point.value > 0)


def date_changes(series: Series) -> tuple[DatedChange, ...]:
    """Every change of `series`, the oldest first. Raises UsageError: Apache Otava is not installed."""
    points = select_usable(series)
    return tuple(
        date_change(series.metric, points, change) for change in find_changes([point.value for point in points])
    )


def date_change(metric: str, points: Sequence[Point], change: Change) -> DatedChange:
    """`change`, found in usable points, as it looks at the newest of them."""
    worse = (change.ratio < 1) == (find_metric(metric).direction == "higher")
    last, first = points[change.index - 1], points[change.index]
    found_at = None if change.found is None else points[change.found]
    sure = change.found is not None or len(points) - change.index >= LASTING
    recent = datetime.fromisoformat(points[-1].started) - datetime.fromisoformat(first.started) <= OPEN
    until = found_at if change.kind == "slide" and found_at is not None else first
    return DatedChange(
        change=change,
        last=last,
        first=first,
        shown=found_at,
        worse=worse,
        open=worse and sure and recent and _still(points, change),
        suspects=find_differences(last.fingerprint, until.fingerprint),
    )


def _still(points: Sequence[Point], change: Change) -> bool:
    since = points[change.index :][-FEWEST:]
    now = fmean(math.log(point.value) for point in since)
    return abs(now - math.log(change.after)) < abs(now - math.log(change.before))
