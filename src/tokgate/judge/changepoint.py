"""When a series of nights changed: lasting steps, single outlying nights, and slow slides.

Steps are found by Apache Otava (E-divisive splits, kept by a t-test), which looks at a series as a whole
and therefore dates changes well but reports them late. Nights and slides are rules that look at the latest figures only:
tonight against the nights before it (t prediction interval), and the last three weeks against the two
months before them (Welch). `bench/slides.py` shows what the three find together, and how often they are wrong.

Values are one per night, in the order of time, finite and above zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import msgspec

from tokgate._exceptions import ExtraMissing
from tokgate.judge.stats import LogRatio, against_history, log_moments, welch

FLOOR = 0.03
"""The smallest relative change that is reported."""

MAX_P = 0.001
"""The two-sided p-value of a step or a night must be smaller: then a year of nights has less than one false alarm."""

SLIDE_P = 0.004
"""The limit for a slide: its windows overlap, so far fewer than one a night are independent."""

REFERENCE = 120
"""Nights that define what is normal, at most."""

WINDOW = 20
"""Nights that a slide is computed from, and the fewest it is compared with: about three weeks."""

FEWEST = 3
"""Nights needed before one night can be an outlier; as many outliers in a row are the new normal."""

JUMP = 0.1
"""A log ratio of neighboring nights that may begin a new level where there are too few nights to decide."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A change of level.

    index: the first night of the new level (of a slide, the first night of its window).
    found: the night that showed it; None for a step that only the series as a whole shows.
    before, after: the two levels, as geometric means, in the unit of the values.
    p: two-sided, of no change at all.
    """

    kind: Literal["step", "night", "slide"]
    index: int
    found: int | None
    before: float
    after: float
    p: float

    @property
    def ratio(self) -> float:
        return self.after / self.before


def find_changes(values: Sequence[float]) -> tuple[Change, ...]:
    """All changes of a series, in the order they began.

    A night or slide that shows the same change as a step is left out; it is when the step was found.
    Raises ExtraMissing: Apache Otava is not installed; ValueError: a value is not finite and above zero.
    """
    log_moments(values or (1.0,))
    return merge_changes(find_steps(values), watch_nights(values))


def merge_changes(steps: Sequence[Change], watched: Sequence[Change]) -> tuple[Change, ...]:
    """The changes that `find_steps` and `watch_nights` found in a series, each once."""
    dated = [
        msgspec.structs.replace(step, found=next((night.found for night in watched if _same(night, step)), None))
        for step in steps
    ]
    others = [change for change in watched if not any(_same(change, step) for step in steps)]
    return tuple(sorted((*dated, *others), key=lambda change: change.index))


def _same(change: Change, step: Change) -> bool:
    """Whether a night or slide shows the change that a step does."""
    near = range(step.index - 1, step.index + FEWEST)
    return (change.ratio < 1) == (step.ratio < 1) and any(change.index <= at <= (change.found or 0) for at in near)


def find_steps(values: Sequence[float]) -> tuple[Change, ...]:
    """The changes that last, by Apache Otava. Raises ExtraMissing."""
    try:
        from otava.analysis import compute_change_points
    except ImportError as error:
        raise ExtraMissing("finding change points", "Apache Otava", extra="nightly") from error
    points, _ = compute_change_points(list(values), max_pvalue=MAX_P, min_magnitude=FLOOR)
    edges = [0, *(int(point.index) for point in points), len(values)]
    levels = [_level(values[a:b]) for a, b in pairwise(edges)] if values else []
    return tuple(
        Change(
            kind="step",
            index=edges[n + 1],
            found=None,
            before=levels[n],
            after=levels[n + 1],
            p=float(point.stats.pvalue),
        )
        for n, point in enumerate(points)
    )


def watch_nights(values: Sequence[float]) -> tuple[Change, ...]:
    """The nights and slides that each night would have reported, given only the nights before it.

    An outlying night is not part of what is normal, until `FEWEST` in a row were outliers on the same side. What
    is normal starts again there, and with the window of a reported slide.
    """
    changes: list[Change] = []
    normal: list[int] = []
    out: list[int] = []
    jump = 0
    for at in range(len(values)):
        night = _night(values, normal[-REFERENCE:], [index for index in normal[-REFERENCE:] if index >= jump], at)
        if night is not None:
            if not out or (night.ratio < 1) != (values[out[-1]] < night.before):
                changes, out = [*changes, night], []
            out.append(at)
            if len(out) == FEWEST:
                normal, out = out, []
            continue
        if normal and abs(math.log(values[at] / values[normal[-1]])) > JUMP:
            jump = at
        normal, out = [*normal, at], []
        slide = _slide(values, normal[-WINDOW - REFERENCE : -WINDOW], normal[-WINDOW:])
        if slide is not None:
            changes.append(slide)
            normal = normal[-WINDOW:]
    return tuple(changes)


def _night(values: Sequence[float], reference: Sequence[int], since: Sequence[int], at: int) -> Change | None:
    """Tonight compared with all that is normal, or with the nights since a jump that came too early to be reported."""
    for nights in (reference, since):
        if len(nights) >= FEWEST:
            before = [values[index] for index in nights]
            ratio = against_history([values[at]], before)
            if _beyond(ratio, MAX_P, FLOOR):
                return _make_change("night", at, at, before, [values[at]], ratio)
    return None


def _slide(values: Sequence[float], reference: Sequence[int], window: Sequence[int]) -> Change | None:
    """`FLOOR` is halved: on average over its window, a slide has come half as far as tonight."""
    if len(reference) < WINDOW:
        return None
    before, after = ([values[index] for index in part] for part in (reference, window))
    ratio = welch(after, before)
    return (
        _make_change("slide", window[0], window[-1], before, after, ratio)
        if _beyond(ratio, SLIDE_P, FLOOR / 2)
        else None
    )


def _beyond(ratio: LogRatio, max_p: float, floor: float) -> bool:
    """Whether a change is significant, and large enough to matter."""
    # The size first: it excludes most nights, and p is expensive to compute.
    return abs(ratio.estimate) >= -math.log1p(-floor) and _p(ratio) < max_p


def _p(ratio: LogRatio) -> float:
    return 2 * min(ratio.p_below(), ratio.p_above())


def _make_change(
    kind: Literal["night", "slide"],
    index: int,
    at: int,
    before: Sequence[float],
    after: Sequence[float],
    ratio: LogRatio,
) -> Change:
    return Change(kind=kind, index=index, found=at, before=_level(before), after=_level(after), p=_p(ratio))


def _level(values: Sequence[float]) -> float:
    return math.exp(log_moments(values)[0])
