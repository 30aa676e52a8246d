"""Preview: what will be measured, in which order, how long it takes, and what it can detect."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from tokgate._exceptions import UsageError
from tokgate.config.words import format_count, format_duration
from tokgate.judge.cell import CaseKey, CellKey
from tokgate.judge.plan import Costs, LaunchPlan, plan_fixed
from tokgate.judge.preview import How, HypothesisPlan, Preview
from tokgate.suite.against import MOST_PAIRS
from tokgate.suite.agenda import make_later, make_units
from tokgate.suite.budget import LEAST_BLOCKS, Budget
from tokgate.suite.estimate import Estimates, estimate
from tokgate.suite.outlook import Outlook
from tokgate.suite.plan import Experiment, RunPlan
from tokgate.suite.preview_notes import BASES, make_notes
from tokgate.suite.rotation import Unit, choose, count_nights


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """The selected part of a plan: the cells that get verdicts, the cases that are measured, and the hypotheses."""

    family: tuple[CellKey, ...] = ()
    cases: tuple[CaseKey, ...] = ()
    experiments: tuple[Experiment, ...] = ()


def make_title(plan: RunPlan) -> str:
    """The profile, why it was chosen, and the time or the launches that it gets."""
    budget = "" if plan.budget_s is None else f"a budget of {format_duration(plan.budget_s)}"
    launches = budget or f"{format_count(plan.launches, 'launch')} of each server"
    if plan.opponent is not None:
        launches = f"against {plan.opponent.label}, at most {MOST_PAIRS} launch pairs of each server"
        launches += f", {budget}" if budget else ""
    return f"profile {plan.profile.name} ({plan.why}), {launches}"


def select_all(plan: RunPlan) -> Selection:
    """Everything that a plan covers."""
    keys = [
        CellKey(case.server.name, case.workload.name, metric) for case in plan.cases for metric in case.workload.gated
    ]
    cases = dict.fromkeys(key.case for key in keys)
    return Selection(family=tuple(keys), cases=tuple(cases), experiments=plan.experiments)


def estimate_selection(plan: RunPlan, chosen: Selection, outlook: Outlook) -> Estimates:
    """Estimates for everything that will be measured; a case without a verdict is estimated by its first metric.

    Hypotheses whose verdict is known are left out. Raises SpecError, RecordError.
    """
    judged = {key.case for key in chosen.family}
    unjudged = [CellKey(*case, plan.case(*case).workload.gated[0]) for case in chosen.cases if case not in judged]
    order = {name: at for at, name in enumerate(plan.servers)}
    keys = sorted([*chosen.family, *unjudged], key=lambda key: order[key.server])
    open_experiments = [
        experiment for experiment in chosen.experiments if outlook.standing[experiment.hypothesis.name].verdict is None
    ]
    return estimate(plan, keys, open_experiments, past=outlook.past, references=outlook.references)


def look_ahead(plan: RunPlan, chosen: Selection, outlook: Outlook, *, blocks: int) -> tuple[Budget | None, Preview]:
    """The budget of a run, if it has one, and the plan to show.

    blocks: of each hypothesis, without a budget.
    Raises SpecError, RecordError; UsageError: the budget is shorter than any launch.
    """
    estimates = estimate_selection(plan, chosen, outlook)
    units = make_units(plan, estimates, outlook)
    budget = None
    if plan.budget_s is not None:
        _check_budget(plan.budget_s, estimates)
        budget = Budget(plan.budget_s, estimates.cells, units, timed=estimates.timed, family=len(chosen.family))
    return budget, make_preview(plan, chosen, estimates, units, budget, outlook, blocks=blocks)


def make_preview(
    plan: RunPlan,
    chosen: Selection,
    estimates: Estimates,
    units: Sequence[Unit],
    budget: Budget | None,
    outlook: Outlook,
    *,
    blocks: int,
) -> Preview:
    """The plan to show. blocks: of each hypothesis, without a budget."""
    costs, launches = Costs(estimates.cells), None
    if budget is not None:
        launches = _sort_servers(budget)
    elif estimates.cells:
        launches = plan_fixed(estimates.cells, plan.launches, family=len(chosen.family))
    later = budget.choice.later if budget else ()
    hypotheses = _plan_hypotheses(estimates, outlook, budget, blocks)
    alone_s = costs.total({cell.case: plan.profile.launches for cell in estimates.cells})
    preview = Preview(
        started=outlook.record.started,
        title=make_title(plan),
        unable=plan.unable,
        budget_s=plan.budget_s,
        plan=launches,
        rounds=tuple(tuple(group) for group in budget.groups if len(group) > 1) if budget else (),
        requests={cell.workload: plan.case(*cell.case).workload.requests for cell in estimates.cells},
        hypotheses=hypotheses,
        later=tuple(make_later(unit, outlook) for unit in later),
        total_s=(launches.total_s if launches else 0.0) + sum(entry.seconds for entry in hypotheses),
        alone_s=alone_s + sum(time.seconds(LEAST_BLOCKS) for time in estimates.experiments.values()),
        shared_s=choose(units, costs, math.inf).seconds,
        nights=None if budget is None else count_nights(units, costs, budget.seconds),
        notes=(),
    )
    return msgspec.structs.replace(preview, notes=tuple(make_notes(preview, estimates)))


def _sort_servers(budget: Budget) -> LaunchPlan | None:
    """The launches in the order of the run."""
    if budget.plan is None:
        return None
    order = [server for group in budget.groups for server in group]
    servers = tuple(sorted(budget.plan.servers, key=lambda entry: order.index(entry.server)))
    return msgspec.structs.replace(budget.plan, servers=servers)


def _plan_hypotheses(
    estimates: Estimates, outlook: Outlook, budget: Budget | None, blocks: int
) -> tuple[HypothesisPlan, ...]:
    """Of the hypotheses that are known or tested in this run."""
    served = {} if budget is None else {unit.name: unit for unit in budget.choice.tonight if unit.is_hypothesis}
    plans = []
    for name, standing in outlook.standing.items():
        if (verdict := standing.verdict) is not None:
            plans.append(HypothesisPlan(hypothesis=name, known=f"{verdict.outcome}, {verdict.notes[0]}"))
            continue
        if budget is not None and name not in served:
            continue
        time = estimates.experiments[name]
        # Without a budget the servers are launched one after the other, which serves claims about one of them alone.
        by_gate = time.how == "gate" and (budget is not None or len(time.cases) == 1)
        how: How = "gate" if by_gate else "blocks" if time.how == "gate" else time.how
        count = 0 if how not in ("blocks", "pairs") else LEAST_BLOCKS if budget else blocks
        plans.append(
            HypothesisPlan(
                hypothesis=name,
                how=how,
                blocks=count,
                seconds=0.0 if by_gate else time.seconds(count),
                source=time.source,
                note=standing.why_again,
            )
        )
    return tuple(plans)


def _check_budget(budget_s: float, estimates: Estimates) -> None:
    """Raises UsageError: not even the shortest launch fits."""
    launches = {" × ".join(cell.case): (cell.startup_s + cell.pass_s, cell.source) for cell in estimates.cells}
    launches |= {
        f"hypothesis {name}": (time.seconds(1), time.source)
        for name, time in estimates.experiments.items()
        if time.how != "arithmetic"
    }
    if not launches:
        return
    shortest = min(launches, key=lambda name: launches[name][0])
    seconds, source = launches[shortest]
    if seconds > budget_s:
        basis = "as earlier runs show" if source == "measured" else f"an estimate from {BASES[source]}"
        raise UsageError(
            f"a budget of {format_duration(budget_s)} is shorter than one launch: the shortest, {shortest}, takes about "
            f"{format_duration(seconds)} ({basis}). Next: allow more time, or set the number of launches instead "
            "(--tokgate-launches), which has no time limit"
        )
