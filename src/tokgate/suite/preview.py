"""Preview: what the selected tests will measure, how long it takes, and what it can detect."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from tokgate.config.words import format_count, format_duration
from tokgate.judge.cell import CaseKey, CellKey
from tokgate.judge.plan import LaunchPlan, plan_fixed
from tokgate.suite.budget import Budget
from tokgate.suite.estimate import ASSUMED_S, Estimates, estimate
from tokgate.suite.past import Past
from tokgate.suite.plan import Experiment, RunPlan
from tokgate.suite.reference import References


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """The selected part of a plan: the cells that get verdicts, the cases that are measured, and the hypotheses."""

    family: tuple[CellKey, ...] = ()
    cases: tuple[CaseKey, ...] = ()
    experiments: tuple[Experiment, ...] = ()


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What will run.

    plan: of the launches; None when only hypotheses are tested.
    requests: on each launch, by case.
    notes: one sentence each.
    """

    plan: LaunchPlan | None
    requests: dict[CaseKey, int]
    notes: tuple[str, ...]


def estimate_selection(plan: RunPlan, chosen: Selection, *, past: Past, references: References) -> Estimates:
    """Estimates for everything that will be measured; a case without a verdict is estimated by its first metric."""
    judged = {key.case for key in chosen.family}
    unjudged = [CellKey(*case, plan.case(*case).workload.gated[0]) for case in chosen.cases if case not in judged]
    order = {name: at for at, name in enumerate(plan.servers)}
    keys = sorted([*chosen.family, *unjudged], key=lambda key: order[key.server])
    return estimate(plan, keys, chosen.experiments, past=past, references=references)


def make_preview(
    plan: RunPlan, chosen: Selection, estimates: Estimates, budget: Budget | None, *, blocks: int
) -> Preview:
    """The plan to show. blocks: of each hypothesis, without a budget."""
    launches = None
    if budget is not None:
        launches = budget.room.plan
    elif estimates.cells:
        launches = plan_fixed(estimates.cells, plan.launches, family=len(chosen.family))
    cases = dict.fromkeys(cell.case for cell in estimates.cells)
    return Preview(
        plan=launches,
        requests={case: plan.case(*case).workload.requests for case in cases},
        notes=tuple(_notes(launches, estimates, budget, blocks)),
    )


def _notes(launches: LaunchPlan | None, estimates: Estimates, budget: Budget | None, blocks: int) -> Iterator[str]:
    if launches is not None:
        yield (
            f"launches take about {format_duration(launches.total_s)}"
            if budget is None
            else f"launches take about {format_duration(launches.total_s)} of {format_duration(budget.seconds)}; cells "
            "that are decided early leave their time to later ones, and one launch is reserved to confirm a regression"
        )
    if budget is not None:
        for server in budget.room.left_out:
            yield f"the budget is too small for {server}; it runs only if the others leave time"
    blocks_s = estimates.blocks_s
    for name, block_s in blocks_s.items():
        if budget is not None:
            share = (
                f"the remaining time, shared by {len(blocks_s)} hypotheses"
                if len(blocks_s) > 1
                else "the remaining time"
            )
            takes = "not known yet" if block_s is None else f"about {format_duration(block_s)}"
            yield f"hypothesis {name}: as many blocks as fit into {share}; a block takes {takes}"
        else:
            takes = "an unknown time" if block_s is None else f"about {format_duration(blocks * block_s)}"
            yield f"hypothesis {name}: {format_count(blocks, 'block')}, {takes}"
    unseen = [name for name in dict.fromkeys(cell.server for cell in estimates.cells) if name not in estimates.timed]
    if unseen:
        then = "" if budget is None else "; its first launch runs before anything else and shows it"
        yield (
            f"no earlier run shows how long {', '.join(unseen)} takes: assuming {format_duration(ASSUMED_S)} for its start "
            f"and for each workload{then}"
        )
