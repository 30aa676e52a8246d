"""The plan of the selected tests, and the launches that a budget has no time for."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tokgate.judge.cell import CaseKey
from tokgate.plugin.items import get_params
from tokgate.plugin.options import OPTIONS
from tokgate.report.plan import describe_preview
from tokgate.store.runs import RunRecord
from tokgate.suite.budget import Budget
from tokgate.suite.outlook import Outlook, make_outlook
from tokgate.suite.plan import RunPlan
from tokgate.suite.preview import Selection, estimate_selection, look_ahead
from tokgate.suite.record import make_first_record
from tokgate.suite.time_left import TimeLeft


def plan_items(
    config: pytest.Config, items: list[pytest.Item], plan: RunPlan, *, width: int, color: bool
) -> tuple[Budget | None, Outlook, str]:
    """Make the budget, if there is one, and the text of the plan; deselect launches it has no time for.

    width: of the text, in columns. color: whether the text contains ANSI colors. Raises SpecError, RecordError.
    """
    selected = read_selection(items)
    outlook = find_outlook(config, plan, make_first_record(plan, run_id="RUN", command=()), selected)
    budget, preview = look_ahead(plan, selected, outlook, blocks=config.stash[OPTIONS].blocks)
    if budget is not None:
        _deselect(config, items, budget)
    return budget, outlook, describe_preview(preview, width=width, color=color)


def sort_key(item: pytest.Item, plan: RunPlan, budget: Budget | None) -> tuple[int, ...]:
    """Measuring tests come first, by server, launch and workload, after the answers of the server; then hypotheses, then
    verdicts. With a budget, what it leaves for later comes last, in the same order."""
    params = get_params(item)

    def rank(case: CaseKey, launch: int) -> tuple[int, ...]:
        return budget.rank(case, launch) if budget else (0, plan.servers.index(case.server), launch)

    if "answering" in params:
        name = params["answering"]
        late, *first = min(rank(CaseKey(name, case.workload.name), 1) for case in plan.cases_of(name))
        return late, 0, *first, -1
    if "server" in params:
        name, launch = params["server"]
        late, *place = rank(CaseKey(name, params["workload"]), launch)
        return late, 0, *place, [case.workload.name for case in plan.cases_of(name)].index(params["workload"])
    if "experiment" in params:
        return 0, 1, budget.order(params["experiment"].hypothesis.name) if budget else 0
    if "judged" in params:
        return rank(params["judged"].case, 1)[0], 2
    return 0, 2


def estimate_time_left(
    config: pytest.Config, plan: RunPlan, selected: Selection, budget: Budget | None, outlook: Outlook
) -> TimeLeft:
    """What the progress of the run says about the time. Raises SpecError, RecordError."""
    estimates = estimate_selection(plan, selected, outlook)
    return TimeLeft(estimates, budget, launches=plan.launches, blocks=config.stash[OPTIONS].blocks)


def read_selection(items: Sequence[pytest.Item]) -> Selection:
    """What the selected tests measure and judge, each once, however often its test runs.

    The error rate is that of all their verdicts together.
    """
    rows = [get_params(item) for item in items]
    cases = dict.fromkeys(CaseKey(row["server"].server, row["workload"]) for row in rows if "server" in row)
    return Selection(
        family=tuple(dict.fromkeys(row["judged"] for row in rows if "judged" in row)),
        cases=tuple(cases),
        experiments=tuple(
            {row["experiment"].hypothesis.name: row["experiment"] for row in rows if "experiment" in row}.values()
        ),
    )


def find_outlook(config: pytest.Config, plan: RunPlan, record: RunRecord, selected: Selection) -> Outlook:
    """What the run of `record` knows before it starts. Raises RecordError."""
    options = config.stash[OPTIONS]
    return make_outlook(
        plan,
        record,
        selected.experiments,
        out=options.out,
        baselines=config.rootpath / "baselines",
        again=options.again,
    )


def _deselect(config: pytest.Config, items: list[pytest.Item], budget: Budget) -> None:
    never = [
        item
        for item, params in ((item, get_params(item)) for item in items)
        if "server" in params
        and params["server"].launch > budget.most(CaseKey(params["server"].server, params["workload"]))
    ]
    items[:] = [item for item in items if item not in never]
    config.hook.pytest_deselected(items=never)
