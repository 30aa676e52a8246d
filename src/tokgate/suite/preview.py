"""Preview: what will be measured, in which order, how long it takes, and what it can detect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from tokgate._exceptions import UsageError
from tokgate.config.words import format_count, format_duration
from tokgate.judge.cell import CaseKey, CellKey
from tokgate.judge.plan import LaunchPlan, Source, plan_fixed
from tokgate.judge.preview import BlocksPlan, Preview
from tokgate.suite.against import MOST_PAIRS
from tokgate.suite.budget import LEAST_BLOCKS, Budget
from tokgate.suite.estimate import Estimates, estimate
from tokgate.suite.known import Standing
from tokgate.suite.outlook import Outlook
from tokgate.suite.plan import Experiment, RunPlan

_BASES: dict[Source, str] = {
    "reported": "token counts and the rate of the baseline",
    "roofline": "token counts and the roofline",
    "assumed": "token counts and the rate of an assumed machine or model",
}


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
    budget = None
    if plan.budget_s is not None:
        _check_budget(plan.budget_s, estimates)
        budget = Budget(
            plan.budget_s,
            estimates.cells,
            timed=estimates.timed,
            blocks_s={name: time.seconds(1) for name, time in estimates.experiments.items()},
            family=len(chosen.family),
        )
    return budget, make_preview(plan, chosen, estimates, budget, standing=outlook.standing, blocks=blocks)


def make_preview(
    plan: RunPlan,
    chosen: Selection,
    estimates: Estimates,
    budget: Budget | None,
    *,
    standing: Mapping[str, Standing],
    blocks: int,
) -> Preview:
    """The plan to show. blocks: of each hypothesis, without a budget."""
    launches = None
    if budget is not None:
        launches = budget.room.plan
    elif estimates.cells:
        launches = plan_fixed(estimates.cells, plan.launches, family=len(chosen.family))
    planned = blocks if budget is None else LEAST_BLOCKS
    hypotheses = tuple(_plan_hypothesis(name, entry, estimates, planned) for name, entry in standing.items())
    return Preview(
        title=make_title(plan),
        unable=plan.unable,
        budget_s=plan.budget_s,
        plan=launches,
        requests={cell.workload: plan.case(*cell.case).workload.requests for cell in estimates.cells},
        hypotheses=hypotheses,
        total_s=(launches.total_s if launches else 0.0) + sum(entry.seconds for entry in hypotheses),
        notes=tuple(_notes(plan, launches, hypotheses, estimates, budget)),
    )


def _plan_hypothesis(name: str, standing: Standing, estimates: Estimates, blocks: int) -> BlocksPlan:
    if (verdict := standing.verdict) is not None:
        known = f"{verdict.outcome}, {verdict.notes[0]}"
        return BlocksPlan(hypothesis=name, blocks=0, seconds=0.0, source="measured", known=known)
    time = estimates.experiments[name]
    return BlocksPlan(
        hypothesis=name,
        blocks=blocks if time.block_s else 0,
        seconds=time.seconds(blocks),
        source=time.source,
        note=standing.why_again,
    )


def _check_budget(budget_s: float, estimates: Estimates) -> None:
    """Raises UsageError: not even the shortest launch fits."""
    launches = {" × ".join(cell.case): (cell.startup_s + cell.pass_s, cell.source) for cell in estimates.cells}
    launches |= {f"hypothesis {name}": (time.seconds(1), time.source) for name, time in estimates.experiments.items()}
    if not launches:
        return
    shortest = min(launches, key=lambda name: launches[name][0])
    seconds, source = launches[shortest]
    if seconds > budget_s:
        basis = "as earlier runs show" if source == "measured" else f"an estimate from {_BASES[source]}"
        raise UsageError(
            f"a budget of {format_duration(budget_s)} is shorter than one launch: the shortest, {shortest}, takes about "
            f"{format_duration(seconds)} ({basis}). Next: allow more time, or set the number of launches instead "
            "(--tokgate-launches), which has no time limit"
        )


def _notes(
    plan: RunPlan,
    launches: LaunchPlan | None,
    hypotheses: tuple[BlocksPlan, ...],
    estimates: Estimates,
    budget: Budget | None,
) -> Iterator[str]:
    if plan.unable is not None:
        yield f"this machine cannot run it: {plan.unable}"
    if launches is not None:
        yield (
            f"launches take about {format_duration(launches.total_s)}"
            if budget is None
            else f"launches take about {format_duration(launches.total_s)} of {format_duration(budget.seconds)}; cells "
            "that are decided early leave their time to later ones, and one launch is reserved to confirm a regression"
        )
    known = sum(bool(entry.known) for entry in hypotheses)
    if known:
        yield (
            f"{format_count(known, 'hypothesis')} known from earlier runs: nothing that {'it' if known == 1 else 'they'} "
            f"{'depends' if known == 1 else 'depend'} on has changed. --tokgate-again repeats them"
        )
    hypotheses = tuple(entry for entry in hypotheses if not entry.known)
    if hypotheses:
        hypotheses_s = sum(entry.seconds for entry in hypotheses)
        takes = f"about {format_duration(hypotheses_s)}"
        yield (
            f"{format_count(len(hypotheses), 'hypothesis')}: {takes}"
            if budget is None
            else f"{format_count(len(hypotheses), 'hypothesis')}: {takes} for {LEAST_BLOCKS} blocks of each; they share "
            "the remaining time"
        )
        if launches is not None and budget is None:
            yield f"everything takes about {format_duration(launches.total_s + hypotheses_s)}"
    if budget is not None:
        for server in budget.room.left_out:
            yield f"the budget is too small for {server}; it runs only if the others leave time"
    yield from _explain_estimates(launches, estimates, budget)


def _explain_estimates(launches: LaunchPlan | None, estimates: Estimates, budget: Budget | None) -> Iterator[str]:
    sources = {cell.server: cell.source for cell in estimates.cells if cell.source != "measured"}
    if sources:
        bases = (
            f"{basis} ({', '.join(server for server, source in sources.items() if source == key)})"
            for key, basis in _BASES.items()
            if key in sources.values()
        )
        then = "" if budget is None else ". The first launch of each runs before anything else and shows its time"
        yield f"≈ is an estimate: no earlier run on this machine shows these times. Based on {'; '.join(bases)}{then}"
    if launches is not None and any(cell.assumed for cell in launches.cells):
        yield "≈ before a drop: no earlier run shows how much the metric varies; half its promise is assumed"
