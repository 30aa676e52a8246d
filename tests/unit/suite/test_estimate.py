"""What earlier runs say of the cells to come, and the plan that is shown of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tokgate.config.catalogue import Catalogue
from tokgate.judge.cell import CaseKey, CellKey, Reference
from tokgate.store.history import Cost
from tokgate.suite.budget import Budget
from tokgate.suite.estimate import ASSUMED_S, INSTANT_S, Estimates
from tokgate.suite.plan import RunPlan, plan_run
from tokgate.suite.preview import Selection, estimate_selection, make_preview

FIXTURES = Path(__file__).parents[3] / "fixtures"
SERVER = "embedded-smollm2"


class Past:
    """Earlier runs, in the shape that estimates read."""

    def __init__(self, costs: dict[CaseKey, Cost], *launches: tuple[float, ...]) -> None:
        self.costs, self._launches = costs, launches

    def points(self, key: CellKey, *, since: str = "") -> tuple[object, ...]:
        return tuple(type("Point", (), {"launches": one})() for one in self._launches)


class References:
    def __init__(self, reference: Reference | None = None) -> None:
        self._reference = reference

    def of(self, key: CellKey) -> tuple[Reference | None, str]:
        return self._reference, ""


@pytest.fixture(scope="module")
def plan() -> RunPlan:
    return plan_run(Catalogue(FIXTURES), profile="embedded", launches=4)


def chosen(plan: RunPlan, *workloads: str) -> Selection:
    return Selection(
        family=tuple(
            CellKey(SERVER, one, metric) for one in workloads for metric in plan.case(SERVER, one).workload.gated
        )
    )


def estimated(plan: RunPlan, past: Past, references: References, *workloads: str) -> Estimates:
    return estimate_selection(plan, chosen(plan, *workloads), past=past, references=references)  # type: ignore[arg-type]


def test_estimates_without_history(plan: RunPlan) -> None:
    """Without history, times are assumed and the scatter is unknown."""
    made = estimated(plan, Past({}), References(), "chat-c1")
    assert made.timed == frozenset()
    assert {(one.startup_s, one.pass_s, one.cv, one.reference) for one in made.cells} == {
        (ASSUMED_S, ASSUMED_S, None, None)
    }


def test_a_server_is_timed_when_all_its_workloads_are(plan: RunPlan) -> None:
    costs = {CaseKey(SERVER, "chat-c1"): Cost(startup_s=None, pass_s=7.0)}
    made = estimated(plan, Past(costs), References(), "chat-c1")
    assert made.timed == {SERVER}
    assert {(one.startup_s, one.pass_s) for one in made.cells} == {(INSTANT_S, 7.0)}
    assert estimated(plan, Past(costs), References(), "chat-c1", "code-c1").timed == frozenset()


def test_scatter_is_that_within_runs_or_between_nights(plan: RunPlan) -> None:
    level, steady = (100.0, 102.0, 98.0), (200.0, 204.0, 196.0)
    within = estimated(plan, Past({}, level, steady), References(), "chat-c1").cells[0].cv
    assert within == pytest.approx(0.02, rel=0.02), "the step between the runs is none of it"
    nights = Reference(kind="nights", values=(100.0, 110.0, 90.0) * 4, label="nights")
    between = estimated(plan, Past({}, level), References(nights), "chat-c1").cells[0]
    assert between.cv == pytest.approx(0.085, rel=0.05)
    assert (between.reference, between.values) == ("nights", 12)


def test_what_gets_no_verdict_is_planned_all_the_same(plan: RunPlan) -> None:
    selected = Selection(cases=(CaseKey(SERVER, "chat-c1"), CaseKey(SERVER, "chat-c4")))
    made = estimate_selection(plan, selected, past=Past({}), references=References())  # type: ignore[arg-type]
    assert [(one.workload, one.metric) for one in made.cells] == [
        ("chat-c1", "decode_tps"),
        ("chat-c4", "output_tps"),
    ]


def test_preview_without_a_budget(plan: RunPlan) -> None:
    """The preview of a run without a budget has the launches of the profile."""
    made = estimated(plan, Past({}), References(), "chat-c1")
    shown = make_preview(plan, chosen(plan, "chat-c1"), made, None, blocks=2)
    assert shown.plan is not None
    assert shown.plan.servers[0].launches == {"chat-c1": 4}
    assert shown.requests == {CaseKey(SERVER, "chat-c1"): plan.case(SERVER, "chat-c1").workload.requests}
    assert shown.notes == (
        "launches take about 4m",
        f"no earlier run shows how long {SERVER} takes: assuming 30s for its start and for each workload",
    )


def test_the_preview_tells_what_hypotheses_will_get(plan: RunPlan) -> None:
    blocks_s: dict[str, float | None] = {"one": 60.0, "two": None}
    made = Estimates(cells=(), timed=frozenset(), blocks_s=blocks_s)
    fixed = make_preview(plan, Selection(), made, None, blocks=3)
    assert fixed.plan is None
    assert fixed.notes == (
        "hypothesis one: 3 blocks, about 3m",
        "hypothesis two: 3 blocks, an unknown time",
    )
    budget = Budget(600.0, (), timed=frozenset(), blocks_s=blocks_s, family=0)
    shared = make_preview(plan, Selection(), made, budget, blocks=3)
    assert any("one: as many blocks as fit" in note and "about 1m" in note for note in shared.notes)
    assert any("two: as many blocks as fit" in note and "not known yet" in note for note in shared.notes)
