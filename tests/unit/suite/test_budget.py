"""A run's time: who gets it, and what is left out when it ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tokgate.judge.cell import CaseKey
from tokgate.judge.plan import MOST_LAUNCHES, Expected
from tokgate.judge.sequential import FIRST_LOOK
from tokgate.suite.budget import LEAST_BLOCKS, Budget
from tokgate.suite.rotation import Unit


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def expected(server: str, *, workload: str = "chat", cv: float | None = 0.01, **changes: Any) -> Expected:
    values: dict[str, Any] = {
        "server": server,
        "workload": workload,
        "metric": "decode_tps",
        "startup_s": 30.0,
        "pass_s": 20.0,
        "tolerance": 0.03,
        "promise": 0.05,
        "cv": cv,
        "reference": "launches",
        "values": 10,
    }
    return Expected(**(values | changes))


def case(server: str, workload: str = "chat") -> CaseKey:
    return CaseKey(server, workload)


def answer(server: str, workload: str = "chat", **changes: Any) -> Unit:
    """What the gate may answer."""
    values: dict[str, Any] = {
        "name": f"{server} × {workload}",
        "cases": (case(server, workload),),
        "launches": FIRST_LOOK,
    }
    return Unit(**(values | changes))


def claim(name: str, *servers: str, own_s: float = 0.0, alone_s: float = 0.0) -> Unit:
    """A hypothesis: with launches of its own, or served by those of the gate."""
    cases = tuple(case(server) for server in servers)
    launches = 2 * LEAST_BLOCKS if cases else 0
    return Unit(name=name, cases=cases, launches=launches, own_s=own_s, alone_s=alone_s or own_s, is_hypothesis=True)


def budget(seconds: float, clock: Clock, *cells: Expected, unknown: str = "", claims: Sequence[Unit] = ()) -> Budget:
    cases = dict.fromkeys(cell.case for cell in cells)
    made = Budget(
        seconds,
        cells,
        [*(answer(*key) for key in cases), *claims],
        timed=frozenset(cell.server for cell in cells if cell.server != unknown),
        family=len(cells),
        clock=clock,
    )
    made.begin()
    return made


def test_what_does_not_fit_is_left_for_later(clock: Clock) -> None:
    made = budget(350.0, clock, *(expected(name) for name in "abc"))
    assert made.tonight == {case("a"), case("b")}
    assert made.plan is not None
    assert [(entry.server, entry.launches) for entry in made.plan.servers] == [
        ("a", {"chat": FIRST_LOOK}),
        ("b", {"chat": FIRST_LOOK}),
    ]
    assert made.planned("c") == {"chat": 0}
    assert made.most(case("c")) == FIRST_LOOK + 1
    assert not budget(49.0, clock, expected("a")).tonight


def test_later_runs_if_there_is_time_for_a_verdict(clock: Clock) -> None:
    """At the end, if as many launches as a verdict needs fit into the whole budget."""
    made = budget(350.0, clock, *(expected(name) for name in "abc"))
    assert made.rank(case("a"), 5) < made.rank(case("c"), 1)
    clock.now += 201.0  # 149 s are left, three launches take 150
    assert made.why_not(case("c"), 1, live=False, fresh=False) == "c × chat is left for another run"
    clock.now -= 2.0
    for launch in range(1, FIRST_LOOK + 1):
        assert made.why_not(case("c"), launch, live=False, fresh=False) is None
        made.learn(case("c"), startup_s=30.0, pass_s=20.0)
        clock.now += 50.0
    assert made.planned("c") == {"chat": FIRST_LOOK}
    assert made.why_not(case("c"), FIRST_LOOK + 1, live=False, fresh=False) == "the plan has 3 launches of c × chat"


def test_a_launch_that_would_end_late_is_not_begun(clock: Clock) -> None:
    made = budget(250.0, clock, expected("a"))
    assert made.why_not(case("a"), 1, live=False, fresh=False) is None
    clock.now += 201.0  # 49 s left, a launch takes 50
    why = made.why_not(case("a"), 2, live=False, fresh=False)
    assert why == "the budget is too small for launch 2 of a × chat"
    assert made.why_not(case("a"), 2, live=True, fresh=False) is None, "a pass on the live server fits"


def test_what_one_server_saves_the_next_can_use(clock: Clock) -> None:
    quiet, noisy = expected("quiet", cv=0.02), expected("noisy", cv=0.03)
    made = budget(900.0, clock, quiet, noisy)
    before = made.planned("noisy")["chat"]
    assert made.why_not(case("quiet"), 1, live=False, fresh=False) is None
    for _ in range(FIRST_LOOK):
        made.learn(case("quiet"), startup_s=30.0, pass_s=20.0)
        clock.now += 50.0
    assert made.planned("noisy")["chat"] <= before, "the time of its other launches is not free yet"
    made.finish(case("quiet"))  # decided at its first look
    assert made.planned("noisy")["chat"] > before


def test_a_plan_stays_once_its_server_has_started(clock: Clock) -> None:
    made = budget(2000.0, clock, expected("a", cv=0.03))
    assert made.why_not(case("a"), 1, live=False, fresh=False) is None
    planned = made.planned("a")["chat"]
    clock.now += 1000.0
    assert made.planned("a")["chat"] == planned
    why = made.why_not(case("a"), planned + 1, live=False, fresh=False)
    assert why == f"the plan has {planned} launches of a × chat"
    assert made.why_not(case("a"), planned + 1, live=False, fresh=True) is None


def test_an_unknown_server_is_planned_after_a_launch(clock: Clock) -> None:
    """A server without history is planned with the times of its first launch."""
    cells = [expected("new", startup_s=30.0, pass_s=30.0, cv=None), expected("known")]
    made = budget(400.0, clock, *cells, unknown="new")
    assert made.most(case("new")) == MOST_LAUNCHES + 1
    assert made.why_not(case("new"), 1, live=False, fresh=False) is None
    clock.now += 5.0
    made.learn(case("new"), startup_s=2.0, pass_s=3.0)
    assert made.why_not(case("new"), 2, live=False, fresh=False) is None
    assert made.planned("new")["chat"] > FIRST_LOOK, "at 5 s a launch there is room for more"


def test_most_launches_of_a_workload(clock: Clock) -> None:
    """A workload can get at most what the others leave when they take their least."""
    made = budget(1000.0, clock, expected("a", cv=0.03), expected("b", cv=0.03))
    most = made.most(case("a"))
    assert made.planned("a")["chat"] + 1 < most
    assert most <= (1000.0 - FIRST_LOOK * 50) / 50 + 1


def test_compared_servers_run_in_mirrored_rounds(clock: Clock) -> None:
    """So that the launches of the gate are blocks of the hypothesis (A B, B A), which gets as many as it needs."""
    cells = [expected(name) for name in "abcd"]
    made = budget(2000.0, clock, *cells, claims=[claim("faster", "a", "c"), claim("slower", "c", "d")])
    assert made.groups == [["a", "c", "d"], ["b"]]
    launches = [(name, launch) for name in "abcd" for launch in (1, 2, 3)]
    launches.sort(key=lambda at: made.rank(case(at[0]), at[1]))
    names = "".join(name for name, _ in launches)
    assert names == "acd" + "dca" + "acd" + "bbb"
    assert made.needed(case("a")) == 2 * LEAST_BLOCKS
    assert made.needed(case("b")) == 0
    assert made.planned("a")["chat"] >= 2 * LEAST_BLOCKS


def test_experiments_and_gate_share_by_what_they_need(clock: Clock) -> None:
    claims = [claim("one", own_s=150.0), claim("two", own_s=150.0)]
    made = budget(1000.0, clock, expected("a"), claims=claims)
    assert made.gate_s == pytest.approx(1000 * 150 / 450)
    assert budget(1000.0, clock, claims=[claim("one", own_s=60.0)]).gate_s == 0
    assert [made.order(name) for name in ("one", "two", "known")] == [0, 1, -1]


def test_an_experiment_keeps_to_its_share(clock: Clock) -> None:
    """An experiment goes on while another block fits into its share of the time."""
    made = budget(1000.0, clock, claims=[claim("one", own_s=200.0), claim("two", own_s=200.0)])
    goes_on, launches = made.experiment("one", block=4), 0
    while goes_on(launches):
        launches += 1
        clock.now += 30.0
    assert launches == 4 * 4, "4 blocks of 120 s fit into half of 1000 s"
    rest = made.experiment("two", block=4)
    assert rest(0)
    clock.now += 441.0  # of the 520 s left; a second block of that length does not fit
    assert rest(1)
    assert not rest(4)
    clock.now += 80.0
    assert not rest(1), "the whole budget is spent"


def test_an_experiment_for_later_needs_all_its_time(clock: Clock) -> None:
    """Also one that the launches of the gate were to serve: it must not take the time of those that are planned."""
    made = budget(1000.0, clock, claims=[claim("one", own_s=600.0), claim("late", own_s=700.0)])
    assert made.choice.later[0].name == "late"
    assert not made.experiment("late", block=4)(0)
    assert made.experiment("one", block=4)(0)
    clock.now += 290.0
    assert made.experiment("late", block=4)(0)
    clock.now += 20.0
    assert not made.experiment("late", block=4)(0)


def test_what_can_never_fit_is_known(clock: Clock) -> None:
    made = budget(1000.0, clock, claims=[claim("one", own_s=600.0), claim("endless", own_s=1001.0)])
    assert made.fits("one")
    assert not made.fits("endless")


def test_the_record_says_why_each_workload_ended(clock: Clock) -> None:
    cells = [expected(name, cv=0.03) for name in ("a", "b", "c")]
    made = budget(900.0, clock, *cells)
    for name in ("a", "b"):
        assert made.why_not(case(name), 1, live=False, fresh=False) is None
    clock.now += 900.0
    assert made.why_not(case("c"), 1, live=False, fresh=False) is not None
    planned = made.planned("b")["chat"]
    spending = made.spending({case("a"): 3, case("b"): planned}, frozenset(case(name) for name in "abc"))
    assert [(launches.used, launches.stopped) for launches in spending.launches] == [
        (3, "decided"),
        (planned, "planned"),
        (0, "budget"),
    ]
    assert (spending.budget_s, spending.spent_s) == (900.0, 900.0)
