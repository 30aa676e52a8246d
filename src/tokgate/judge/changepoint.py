"""When a series of nights changed: steps that last, single nights that fall out, and slow slides.

Steps are found by Apache Otava (E-divisive splits, kept by a t-test), which looks at a series as a whole
and therefore dates well and speaks late. Nights and slides are rules that look at the latest figures only:
tonight against the nights before it (t prediction interval), and the last three weeks against the two
months before them (Welch). `bench/slides.py` shows what the three find together, and how often wrongly.

Values are one figure a night, in the order of time, finite and above zero.
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
"""The p-value that a step, or a night, must be below, both sides together."""

SLIDE_P = 0.004
"""That of a slide: its windows overlap, so that far fewer than one a night are independent."""

REFERENCE = 120
"""Nights that say what is normal, at most."""

WINDOW = 20
"""Nights that a slide is read from, and the fewest it is compared with."""

FEWEST = 3
"""Nights before one night can fall out; so many that do in a row are the new normal."""

JUMP = 0.1
"""A log ratio of neighbours that may begin a new level where there are too few nights to tell."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A change of level. index: the first night of the new one (of a slide, the first of its window).

    found: the night that showed it; of a step None where only the series as a whole does. before, after: the two levels, as
    geometric means, in the unit of the values. p: two-sided, of no change at all.
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


def changes(values: Sequence[float]) -> tuple[Change, ...]:
    """Everything that happened in a series, in the order it began.

    A night or slide that tells of the same change as a step is left out, and is when the step was found.
    Raises ExtraMissing: Apache Otava is not installed; ValueError: a value is not finite and above zero.
    """
    log_moments(values or (1.0,))
    return together(steps(values), watch(values))


def together(lasting: Sequence[Change], seen: Sequence[Change]) -> tuple[Change, ...]:
    """The changes of a series by its `steps` and by what `watch` saw, each told once."""
    dated = [
        msgspec.structs.replace(step, found=next((one.found for one in seen if _same(one, step)), None))
        for step in lasting
    ]
    others = [one for one in seen if not any(_same(one, step) for step in lasting)]
    return tuple(sorted((*dated, *others), key=lambda change: change.index))


def _same(one: Change, step: Change) -> bool:
    """Whether a night or slide tells of the change that a step does."""
    near = range(step.index - 1, step.index + FEWEST)
    return (one.ratio < 1) == (step.ratio < 1) and any(one.index <= at <= (one.found or 0) for at in near)


def steps(values: Sequence[float]) -> tuple[Change, ...]:
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


def watch(values: Sequence[float]) -> tuple[Change, ...]:
    """What each night would have reported of nights and slides, given the nights before it and none after.

    A night that falls out is no part of what is normal, until `FEWEST` in a row fell to the same side. What is
    normal starts anew there, and with the window of a slide that was told.
    """
    found: list[Change] = []
    normal: list[int] = []
    out: list[int] = []
    jump = 0
    for at in range(len(values)):
        night = _night(values, normal[-REFERENCE:], [one for one in normal[-REFERENCE:] if one >= jump], at)
        if night is not None:
            if not out or (night.ratio < 1) != (values[out[-1]] < night.before):
                found, out = [*found, night], []
            out.append(at)
            if len(out) == FEWEST:
                normal, out = out, []
            continue
        if normal and abs(math.log(values[at] / values[normal[-1]])) > JUMP:
            jump = at
        normal, out = [*normal, at], []
        slide = _slide(values, normal[-WINDOW - REFERENCE : -WINDOW], normal[-WINDOW:])
        if slide is not None:
            found.append(slide)
            normal = normal[-WINDOW:]
    return tuple(found)


def _night(values: Sequence[float], reference: Sequence[int], since: Sequence[int], at: int) -> Change | None:
    """Tonight against all that is normal, or against what is since a jump that was too early to be told."""
    for nights in (reference, since):
        if len(nights) >= FEWEST:
            before = [values[one] for one in nights]
            ratio = against_history([values[at]], before)
            if _beyond(ratio, MAX_P, FLOOR):
                return _told("night", at, at, before, [values[at]], ratio)
    return None


def _slide(values: Sequence[float], reference: Sequence[int], window: Sequence[int]) -> Change | None:
    """The floor is half: a slide that has come so far by tonight is half as deep on the mean of its window."""
    if len(reference) < WINDOW:
        return None
    before, after = ([values[one] for one in part] for part in (reference, window))
    ratio = welch(after, before)
    return (
        _told("slide", window[0], window[-1], before, after, ratio)
        if _beyond(ratio, SLIDE_P, FLOOR / 2)
        else None
    )


def _beyond(ratio: LogRatio, max_p: float, floor: float) -> bool:
    """Whether a change is no accident, and large enough to matter."""
    # The size first: it leaves out most nights, and p is dear.
    return abs(ratio.estimate) >= -math.log1p(-floor) and _p(ratio) < max_p


def _p(ratio: LogRatio) -> float:
    return 2 * min(ratio.p_below(), ratio.p_above())


def _told(
    kind: Literal["night", "slide"],
    index: int,
    found: int,
    before: Sequence[float],
    after: Sequence[float],
    ratio: LogRatio,
) -> Change:
    return Change(
        kind=kind, index=index, found=found, before=_level(before), after=_level(after), p=_p(ratio)
    )


def _level(values: Sequence[float]) -> float:
    return math.exp(log_moments(values)[0])
