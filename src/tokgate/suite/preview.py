"""Preview: what the selected tests will measure, how long it takes, and what that will see."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from tokgate.config.words import format_duration
from tokgate.judge.cell import CaseKey, CellKey
from tokgate.judge.plan import LaunchPlan, plan_fixed
from tokgate.suite.budget import Budget
from tokgate.suite.estimate import ASSUMED_S, Estimates, estimate
from tokgate.suite.past import Past
from tokgate.suite.plan import Experiment, RunPlan
from tokgate.suite.reference import References


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """What of a plan was selected: the verdicts it will give, what it measures besides, and the hypotheses."""

    family: tuple[CellKey, ...] = ()
    cases: tuple[CaseKey, ...] = ()
    experiments: tuple[Experiment, ...] = ()


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """The launches, None when only hypotheses are tested, requests on each, and what else to know, in sentences."""

    plan: LaunchPlan | None
    requests: dict[CaseKey, int]
    notes: tuple[str, ...]


def estimate_chosen(plan: RunPlan, chosen: Chosen, *, past: Past, references: References) -> Estimates:
    """What is expected of all that will be measured; what gets no verdict, by its first metric."""
    judged = {key.case for key in chosen.family}
    unjudged = [
        CellKey(*case, plan.case(*case).workload.gated[0]) for case in chosen.cases if case not in judged
    ]
    order = {name: at for at, name in enumerate(plan.servers)}
    keys = sorted([*chosen.family, *unjudged], key=lambda key: order[key.server])
    return estimate(plan, keys, chosen.experiments, past=past, references=references)


def preview(
    plan: RunPlan, chosen: Chosen, estimates: Estimates, budget: Budget | None, *, blocks: int
) -> Preview:
    """blocks: of each hypothesis, where no budget decides it."""
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


def _notes(
    launches: LaunchPlan | None, estimates: Estimates, budget: Budget | None, blocks: int
) -> Iterator[str]:
    if launches is not None:
        yield (
            f"launches take about {format_duration(launches.total_s)}"
            if budget is None
            else f"launches take about {format_duration(launches.total_s)} of {format_duration(budget.seconds)}; what is decided "
            "early leaves its time to what starts later, and one launch is kept back to confirm a regression"
        )
    if budget is not None:
        for server in budget.room.left_out:
            yield f"no room: {server} has its turn only if the others leave time"
    blocks_s = estimates.blocks_s
    for name, block_s in blocks_s.items():
        if budget is not None:
            share = (
                f"the time that is left, shared among {len(blocks_s)}"
                if len(blocks_s) > 1
                else "what is left"
            )
            takes = "not known yet" if block_s is None else f"about {format_duration(block_s)}"
            yield f"hypothesis {name}: as many blocks as fit in {share}; a block takes {takes}"
        else:
            takes = "an unknown time" if block_s is None else f"about {format_duration(blocks * block_s)}"
            yield f"hypothesis {name}: {blocks} blocks, {takes}"
    unseen = [
        name for name in dict.fromkeys(cell.server for cell in estimates.cells) if name not in estimates.timed
    ]
    if unseen:
        then = "" if budget is None else "; its first launch is measured before anything else, and tells"
        yield (
            f"no earlier run tells how long {', '.join(unseen)} takes: {format_duration(ASSUMED_S)} assumed for its start "
            f"and for each workload{then}"
        )
