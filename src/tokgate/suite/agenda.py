"""Agenda: everything that a run may answer, with what it costs and how old the last answer is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from tokgate.judge.cell import CaseKey, CellKey
from tokgate.judge.plan import Costs
from tokgate.judge.verdict import Known, Later, Outcome
from tokgate.store.evidence import SETTLED, PastVerdict
from tokgate.store.runs import compute_age_s
from tokgate.store.summary import hash_conditions
from tokgate.suite.budget import LEAST_BLOCKS
from tokgate.suite.estimate import Estimates
from tokgate.suite.outlook import Outlook
from tokgate.suite.plan import RunPlan
from tokgate.suite.rotation import Unit

_OPEN = frozenset({Outcome.INCONCLUSIVE, Outcome.INVALID, Outcome.REGRESSED})
"""Outcomes of the gate that ask for another measurement soon."""


def make_units(plan: RunPlan, estimates: Estimates, outlook: Outlook) -> tuple[Unit, ...]:
    """A unit for each server, and for each hypothesis whose verdict is not known. Raises RecordError."""
    return (*_list_servers(plan, estimates, outlook), *_list_hypotheses(estimates, outlook))


def find_last(outlook: Outlook, keys: Iterable[CellKey]) -> list[PastVerdict]:
    """The newest verdicts on these cells, as far as they can be compared with today's. Raises RecordError."""
    last = (outlook.past.last.cells.get(key) for key in keys)
    return [
        past
        for past in last
        if past is not None
        and past.summary.conditions == hash_conditions(outlook.record.conditions[past.summary.verdict.workload])
    ]


def make_later(unit: Unit, outlook: Outlook) -> Later:
    """A unit that is left for later, with its last answer. Raises RecordError."""
    last = outlook.past.last
    if unit.is_hypothesis:
        earlier = [last.hypotheses[unit.name]] if unit.name in last.hypotheses else []
    else:
        earlier = find_last(outlook, [key for key in last.cells if key.case in unit.cases])
    if not earlier:
        return Later(name=unit.name)
    oldest = min((past.summary for past in earlier), key=lambda summary: summary.started)
    verdicts = [past.summary.verdict for past in earlier]
    return Later(
        name=unit.name,
        outcomes={
            verdict.hypothesis or f"{verdict.workload} {verdict.metric}": verdict.outcome for verdict in verdicts
        },
        known=Known(run=oldest.run_id, started=oldest.started),
    )


def _list_servers(plan: RunPlan, estimates: Estimates, outlook: Outlook) -> Iterator[Unit]:
    """Each server with all of its workloads, so that its baseline can be accepted from one run; where the budget has no
    time for all of them, each workload alone."""
    costs, limit_s = Costs(estimates.cells), math.inf if plan.budget_s is None else plan.budget_s
    keys: dict[CaseKey, list[CellKey]] = {}
    for cell in estimates.cells:
        keys.setdefault(cell.case, []).append(CellKey(*cell.case, cell.metric))
    for server in dict.fromkeys(case.server for case in keys):
        cases = tuple(case for case in keys if case.server == server)
        if costs.total(dict.fromkeys(cases, plan.profile.launches)) <= limit_s:
            yield _make_unit(server, cases, keys, plan, outlook)
        else:
            yield from (_make_unit(" × ".join(case), (case,), keys, plan, outlook) for case in cases)


def _make_unit(
    name: str, cases: tuple[CaseKey, ...], keys: Mapping[CaseKey, list[CellKey]], plan: RunPlan, outlook: Outlook
) -> Unit:
    cells = [key for case in cases for key in keys[case]]
    last = find_last(outlook, cells)
    state: Literal["new", "open", "answered"] = "answered"
    if len(last) < len(cells):
        state = "new"
    elif any(past.summary.verdict.outcome in _OPEN for past in last):
        state = "open"
    return Unit(
        name=name,
        cases=cases,
        launches=plan.profile.launches,
        answers=len(cells),
        state=state,
        age_s=max((_age_s(past, outlook) for past in last), default=math.inf),
    )


def _list_hypotheses(estimates: Estimates, outlook: Outlook) -> Iterator[Unit]:
    for name, time in estimates.experiments.items():
        past = outlook.past.last.hypotheses.get(name)
        state: Literal["new", "expired", "open"] = "new"
        if past is not None:
            state = "expired" if past.summary.verdict.outcome in SETTLED else "open"
        takes_s = time.seconds(LEAST_BLOCKS)
        yield Unit(
            name=name,
            cases=time.cases,
            launches=2 * LEAST_BLOCKS if time.cases else 0,
            own_s=0.0 if time.cases else takes_s,
            alone_s=takes_s,
            is_hypothesis=True,
            state=state,
            age_s=math.inf if past is None else _age_s(past, outlook),
        )


def _age_s(past: PastVerdict, outlook: Outlook) -> float:
    return compute_age_s(past.summary.started, outlook.record.started)
