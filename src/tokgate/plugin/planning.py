"""What the selected tests will measure: their plan, and what of them a budget cannot come to."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tokgate.judge.cell import CaseKey
from tokgate.plugin.items import params_of
from tokgate.plugin.options import OPTIONS
from tokgate.report.plan import describe_plan
from tokgate.store.runs import RunRecord
from tokgate.suite.budget import Budget
from tokgate.suite.past import Past
from tokgate.suite.plan import RunPlan
from tokgate.suite.preview import Chosen, estimate_chosen, preview
from tokgate.suite.record import first_record
from tokgate.suite.reference import References


def plan_items(
    config: pytest.Config, items: list[pytest.Item], plan: RunPlan, *, width: int, color: bool
) -> tuple[Budget | None, str]:
    """The budget, if one is set, and the plan as text; deselects the launches that no plan can come to.

    Raises SpecError, RecordError.
    """
    options, selected = config.stash[OPTIONS], chosen(items)
    past, references = compared_with(config, first_record(plan, run_id="RUN", command=()))
    estimates = estimate_chosen(plan, selected, past=past, references=references)
    budget = None
    if options.budget_s is not None:
        budget = Budget(
            options.budget_s,
            estimates.cells,
            timed=estimates.timed,
            blocks_s=estimates.blocks_s,
            family=len(selected.family),
        )
        _deselect(config, items, budget)
    shown = preview(plan, selected, estimates, budget, blocks=options.blocks)
    text = describe_plan(shown.plan, requests=shown.requests, notes=shown.notes, width=width, color=color)
    return budget, text


def chosen(items: Sequence[pytest.Item]) -> Chosen:
    """What the selected tests measure and judge. The error rate is that of all their verdicts together."""
    params = [params_of(item) for item in items]
    cases = dict.fromkeys(CaseKey(one["server"].server, one["workload"]) for one in params if "server" in one)
    return Chosen(
        family=tuple(one["judged"] for one in params if "judged" in one),
        cases=tuple(cases),
        experiments=tuple(one["experiment"] for one in params if "experiment" in one),
    )


def compared_with(config: pytest.Config, record: RunRecord) -> tuple[Past, References]:
    """The runs before this one, and what each of its cells is compared with. Raises RecordError."""
    past = Past(config.stash[OPTIONS].out, record)
    return past, References(config.rootpath / "baselines" / record.baselines, record, past)


def _deselect(config: pytest.Config, items: list[pytest.Item], budget: Budget) -> None:
    never = [
        item
        for item, params in ((item, params_of(item)) for item in items)
        if "server" in params
        and params["server"].launch > budget.most(CaseKey(params["server"].server, params["workload"]))
    ]
    items[:] = [item for item in items if item not in never]
    config.hook.pytest_deselected(items=never)
