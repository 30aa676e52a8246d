"""What earlier runs say of the cells to come, and the plan that is shown of it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tokgate._exceptions import UsageError
from tokgate.config.catalogue import Catalogue
from tokgate.judge.cell import CaseKey, CellKey, Reference
from tokgate.judge.verdict import Outcome, Verdict
from tokgate.store.evidence import LastVerdicts
from tokgate.store.history import Cost
from tokgate.suite.agenda import make_units
from tokgate.suite.budget import Budget
from tokgate.suite.duration import INSTANT_S
from tokgate.suite.estimate import Estimates, ExperimentTime
from tokgate.suite.known import Standing
from tokgate.suite.outlook import Outlook, make_outlook
from tokgate.suite.plan import RunPlan, plan_run
from tokgate.suite.preview import Selection, estimate_selection, look_ahead, make_preview, select_all
from tokgate.suite.record import make_first_record

FIXTURES = Path(__file__).parents[3] / "fixtures"
SERVER = "embedded-smollm2"


class Past:
    """Earlier runs, in the shape that estimates read."""

    def __init__(self, costs: dict[CaseKey, Cost], *launches: tuple[float, ...]) -> None:
        self.costs, self._launches, self.last = costs, launches, LastVerdicts()

    def points(self, key: CellKey, *, since: str = "") -> tuple[object, ...]:
        return tuple(type("Point", (), {"launches": one})() for one in self._launches)


class References:
    def __init__(self, reference: Reference | None = None, *, tps: float | None = None) -> None:
        self._reference, self._tps = reference, tps

    def reported_tps(self, server: str) -> float | None:
        return self._tps

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
    return estimate_selection(plan, chosen(plan, *workloads), look(past, references))


def look(past: Past, references: References) -> Outlook:
    record = make_first_record(plan_run(Catalogue(FIXTURES), profile="embedded"), run_id="RUN", command=())
    return Outlook(record=record, past=past, references=references, standing={})  # type: ignore[arg-type]


def test_estimates_without_history(plan: RunPlan) -> None:
    """Without history, times come from token counts and a reported or assumed rate, and the scatter is unknown."""
    made = estimated(plan, Past({}), References(), "chat-c1")
    assert made.timed == frozenset()
    assert {(cell.source, cell.cv, cell.reference) for cell in made.cells} == {("assumed", None, None)}
    assert all(0 < cell.startup_s < cell.pass_s for cell in made.cells)
    faster = estimated(plan, Past({}), References(tps=1000.0), "chat-c1")
    assert {cell.source for cell in faster.cells} == {"reported"}
    assert faster.cells[0].pass_s < made.cells[0].pass_s


def test_start_is_known_from_another_workload(plan: RunPlan) -> None:
    costs = {CaseKey(SERVER, "chat-c1"): Cost(startup_s=3.0, pass_s=7.0)}
    made = estimated(plan, Past(costs), References(), "chat-c1", "chat-c4")
    assert {(cell.workload, cell.startup_s, cell.source) for cell in made.cells} == {
        ("chat-c1", 3.0, "measured"),
        ("chat-c4", 3.0, "assumed"),
    }


def test_a_server_is_timed_when_all_its_workloads_are(plan: RunPlan) -> None:
    costs = {CaseKey(SERVER, "chat-c1"): Cost(startup_s=None, pass_s=7.0)}
    made = estimated(plan, Past(costs), References(), "chat-c1")
    assert made.timed == {SERVER}
    assert {(one.startup_s, one.pass_s) for one in made.cells} == {(INSTANT_S, 7.0)}
    assert estimated(plan, Past(costs), References(), "chat-c1", "chat-c4").timed == frozenset()


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
    made = estimate_selection(plan, selected, look(Past({}), References()))
    assert [(one.workload, one.metric) for one in made.cells] == [
        ("chat-c1", "decode_tps"),
        ("chat-c4", "output_tps"),
    ]


def test_preview_without_a_budget(plan: RunPlan) -> None:
    """The preview of a run without a budget has the launches of the profile."""
    costs = {CaseKey(SERVER, "chat-c1"): Cost(startup_s=3.0, pass_s=7.0)}
    _, shown = look_ahead(plan, chosen(plan, "chat-c1"), look(Past(costs), References()), blocks=2)
    assert shown.plan is not None
    assert shown.plan.servers[0].launches == {"chat-c1": 4}
    assert shown.requests == {"chat-c1": plan.case(SERVER, "chat-c1").workload.requests}
    assert shown.notes == ("launches take about 40s",)
    assert (shown.total_s, shown.nights, shown.later) == (40, None, ())
    _, estimated = look_ahead(plan, chosen(plan, "chat-c1"), look(Past({}), References()), blocks=2)
    assert estimated.notes[1:] == (
        "≈ is an estimate: no earlier run on this machine shows these times. Based on token counts and the rate of an "
        f"assumed machine or model ({SERVER})",
    )


def test_preview_with_a_budget(plan: RunPlan) -> None:
    """What the budget has no time for is left for later, and the number of runs that answer everything is known."""
    costs = {CaseKey(SERVER, name): Cost(startup_s=3.0, pass_s=7.0) for name in ("chat-c1", "chat-c4")}
    timed = msgspec.structs.replace(plan, budget_s=45.0)
    selected = chosen(plan, "chat-c1", "chat-c4")
    budget, shown = look_ahead(timed, selected, look(Past(costs), References()), blocks=2)
    assert budget is not None
    assert [later.name for later in shown.later] == [f"{SERVER} × chat-c1"], "the other one has four metrics"
    assert (shown.alone_s, shown.shared_s, shown.nights) == (51, 51, 2)
    assert shown.notes[0].startswith("this run: 1 of 2 workloads, about ")
    assert shown.notes[1] == "everything once takes 51s: 2 runs of 45s answer everything"
    with pytest.raises(
        UsageError, match=f"a budget of 5s is shorter than one launch: the shortest, {SERVER} × chat-c1"
    ):
        look_ahead(msgspec.structs.replace(plan, budget_s=5.0), selected, look(Past(costs), References()), blocks=2)


def test_preview_has_the_time_of_hypotheses(plan: RunPlan) -> None:
    """Those that are known take none; those that are tested again say why."""
    times = {
        "one": ExperimentTime(before_s=10.0, block_s=60.0, source="measured"),
        "look": ExperimentTime(before_s=20.0, how="look", source="roofline"),
    }
    verdict = Verdict(
        kind="hypothesis",
        server="a | b",
        workload="w",
        metric="m",
        outcome=Outcome.REFUTED,
        notes=("known from run R, 3 days old",),
    )
    standing = {
        "one": Standing(depends_on={}, why_again="it was inconclusive in run R"),
        "look": Standing(depends_on={}),
        "old": Standing(depends_on={}, verdict=verdict),
    }
    outlook = msgspec.structs.replace(look(Past({}), References()), standing=standing)
    made = Estimates(cells=(), experiments=times)
    units = make_units(plan, made, outlook)
    fixed = make_preview(plan, Selection(), made, units, None, outlook, blocks=3)
    assert fixed.plan is None
    assert [(entry.hypothesis, entry.how, entry.blocks, entry.seconds) for entry in fixed.hypotheses] == [
        ("one", "blocks", 3, 190.0),
        ("look", "look", 0, 20.0),
        ("old", "blocks", 0, 0.0),
    ]
    assert fixed.hypotheses[0].note == "it was inconclusive in run R"
    assert fixed.hypotheses[2].known == "refuted, known from run R, 3 days old"
    known = "1 hypothesis known from earlier runs: nothing that it depends on has changed. --tokgate-again repeats them"
    assert fixed.notes == (known, "2 hypotheses: about 3m30s")
    budget = Budget(100.0, (), units, timed=frozenset(), family=0)
    timed = msgspec.structs.replace(plan, budget_s=100.0)
    night = make_preview(timed, Selection(), made, units, budget, outlook, blocks=3)
    assert [entry.hypothesis for entry in night.hypotheses] == ["look", "old"]
    assert [later.name for later in night.later] == ["one"]
    assert night.nights is None, "one takes 130 s, more than any run has"


def test_whole_box_takes_about_a_day() -> None:
    """15 hours of servers and 8 of hypotheses by the arithmetic of facts.md; the plan must be near that anywhere."""
    box = plan_run(Catalogue(FIXTURES), profile="gfx1151", launches=5)
    record = make_first_record(box, run_id="RUN", command=())
    everything = select_all(box)
    folders = {"out": FIXTURES / "nowhere", "baselines": FIXTURES.parent / "baselines"}
    outlook = make_outlook(box, record, everything.experiments, **folders, again=False)
    _, shown = look_ahead(box, everything, outlook, blocks=2)
    assert shown.plan is not None
    assert shown.plan.total_s / 3600 == pytest.approx(15, rel=0.1)
    assert shown.alone_s / 3600 == pytest.approx(23, rel=0.1)
    assert shown.shared_s < 0.7 * shown.alone_s, "the launches of the gate serve most hypotheses"
    assert {server.source for server in shown.plan.servers} == {"reported", "roofline"}
    assert shown.unable is not None
    assert msgspec.json.decode(msgspec.json.encode(shown))["total_s"] == shown.total_s
