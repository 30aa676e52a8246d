"""Rotation: what a budget has time for in one night. What it has no time for is left for the nights after. Pure.

What was never answered comes first, then what has expired, then the oldest answer; among equals, what gives the most
answers a minute. A start of a server is paid once for everything that its launches serve.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Literal

import msgspec

from tokgate.judge.cell import CaseKey
from tokgate.judge.plan import Costs
from tokgate.judge.sequential import FIRST_LOOK

DAY_S = 86400.0

OPEN_WEIGHT = 2
"""An answer that decided nothing, or a regression, counts as this many times older: it is asked again sooner, but what is
old enough still comes first, so that nothing waits for ever."""

MOST_NIGHTS = 100
"""Nights after which the count ends: a plan that takes longer needs another budget, not a number."""


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a night can answer: a server under its workloads, or under one of them, or a hypothesis.

    name: of the server or the hypothesis; `SERVER × WORKLOAD` for one workload.
    cases: those whose launches it needs: its own, or those of the arms of a hypothesis that the gate's launches serve.
    launches: of each of these.
    own_s: seconds of launches that serve nothing else.
    alone_s: of a hypothesis, the seconds that it takes if the gate's launches do not serve it.
    answers: the number of verdicts.
    state: `new`: never answered; `expired`: its answer no longer holds; `open`: its last answer decided nothing, or was
        a regression.
    age_s: seconds since its last answer; infinite if there is none.
    """

    name: str
    cases: tuple[CaseKey, ...]
    launches: int
    own_s: float = 0.0
    alone_s: float = 0.0
    is_hypothesis: bool = False
    answers: int = 1
    state: Literal["new", "expired", "open", "answered"] = "new"
    age_s: float = math.inf

    @property
    def urgency(self) -> tuple[int, int]:
        """The sort key: what has the lowest comes first."""
        if self.state in ("new", "expired"):
            return (0 if self.state == "new" else 1), 0
        days = self.age_s / DAY_S * (OPEN_WEIGHT if self.state == "open" else 1)
        return 2, -round(days)


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What a night has time for.

    tonight: in the order of their urgency.
    later: the others, likewise.
    launches: of each case, as the units of tonight need it.
    seconds: that all of it takes.
    """

    tonight: tuple[Unit, ...]
    later: tuple[Unit, ...]
    launches: dict[CaseKey, int]
    seconds: float


def choose(units: Sequence[Unit], costs: Costs, budget_s: float) -> Choice:
    """The units that fit into a budget.

    Where none fits with all of its launches, fewer are planned: as many as a verdict needs, or a single one.
    """
    for most in (math.inf, FIRST_LOOK, 1):
        fitting = [
            msgspec.structs.replace(unit, launches=int(min(unit.launches, most))) for unit in units if unit.cases
        ]
        fitting += [unit for unit in units if not unit.cases]
        choice = _fill(fitting, costs, budget_s)
        if choice.tonight or not units:
            return choice
    return choice


def count_nights(units: Sequence[Unit], costs: Costs, budget_s: float) -> int | None:
    """Nights until everything has been answered once, if each takes as long as planned; None if that never happens."""
    if not all(choose([unit], costs, budget_s).tonight for unit in units):
        return None
    waiting = {unit.name for unit in units}
    now = list(units)
    for night in range(MOST_NIGHTS):
        if not waiting:
            return night
        answered = {unit.name for unit in choose(now, costs, budget_s).tonight}
        waiting -= answered
        now = [_age(unit, answered) for unit in now]
    return None


def _age(unit: Unit, answered: set[str]) -> Unit:
    """The unit a day later."""
    if unit.name in answered:
        return msgspec.structs.replace(unit, state="answered", age_s=DAY_S)
    return msgspec.structs.replace(unit, age_s=unit.age_s + DAY_S)


def _fill(units: Sequence[Unit], costs: Costs, budget_s: float) -> Choice:
    tonight: list[Unit] = []
    launches: dict[CaseKey, int] = {}
    spent_s = 0.0
    in_order = sorted(units, key=lambda unit: unit.urgency)
    for _, equals in groupby(in_order, key=lambda unit: unit.urgency):
        left = list(equals)
        while left:
            added = {unit.name: _added_s(unit, launches, costs) for unit in left}
            left = [unit for unit in left if spent_s + added[unit.name] <= budget_s]
            if not left:
                break
            best = min(left, key=lambda unit: added[unit.name] / unit.answers)
            left.remove(best)
            tonight.append(best)
            spent_s += added[best.name]
            launches = _merge(launches, best)
    names = {unit.name for unit in tonight}
    return Choice(
        tonight=tuple(tonight),
        later=tuple(unit for unit in in_order if unit.name not in names),
        launches=launches,
        seconds=spent_s,
    )


def _added_s(unit: Unit, launches: Mapping[CaseKey, int], costs: Costs) -> float:
    """Seconds that the unit takes in addition to these launches."""
    return costs.total(_merge(launches, unit)) - costs.total(launches) + unit.own_s


def _merge(launches: Mapping[CaseKey, int], unit: Unit) -> dict[CaseKey, int]:
    return {**launches, **{case: max(unit.launches, launches.get(case, 0)) for case in unit.cases}}
