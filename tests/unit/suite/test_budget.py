"""A run's time: who gets it, and what is left out when it ends."""

from __future__ import annotations

from typing import Any

import pytest

from tokgate.judge.cell import CaseKey
from tokgate.judge.plan import MOST_LAUNCHES, Expected
from tokgate.judge.sequential import FIRST_LOOK
from tokgate.suite.budget import Budget, divide


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


def budget(seconds: float, clock: Clock, *cells: Expected, unknown: str = "", **changes: Any) -> Budget:
    values: dict[str, Any] = {
        "timed": frozenset(cell.server for cell in cells if cell.server != unknown),
        "blocks_s": {},
        "family": len(cells),
    }
    made = Budget(seconds, cells, clock=clock, **(values | changes))
    made.begin()
    return made


def test_servers_that_do_not_fit_are_left_out() -> None:
    """Servers that do not fit are left out from the end."""
    cells = [expected(name) for name in "abc"]
    room = divide(cells, 350.0, family=3)
    assert room.left_out == ("c",)
    assert room.launches("a") == {"chat": FIRST_LOOK}
    assert room.launches("c") is None
    assert divide(cells, 100.0, family=3).plan is None


def test_a_launch_that_would_end_late_is_not_begun(clock: Clock) -> None:
    made = budget(250.0, clock, expected("a"))
    assert made.why_not(CaseKey("a", "chat"), 1, live=False, fresh=False) is None
    clock.now += 201.0  # 49 s left, a launch takes 50
    why = made.why_not(CaseKey("a", "chat"), 2, live=False, fresh=False)
    assert why == "the budget is too small for launch 2 of a × chat"
    assert made.why_not(CaseKey("a", "chat"), 2, live=True, fresh=False) is None, "a pass on the live server fits"


def test_what_one_server_saves_the_next_can_use(clock: Clock) -> None:
    quiet, noisy = expected("quiet", cv=0.02), expected("noisy", cv=0.03)
    made = budget(900.0, clock, quiet, noisy)
    before = made.planned("noisy")["chat"]
    assert made.why_not(CaseKey("quiet", "chat"), 1, live=False, fresh=False) is None
    clock.now += FIRST_LOOK * 50.0  # decided at its first look
    assert made.planned("noisy")["chat"] > before


def test_a_plan_stays_once_its_server_has_started(clock: Clock) -> None:
    made = budget(2000.0, clock, expected("a", cv=0.03))
    assert made.why_not(CaseKey("a", "chat"), 1, live=False, fresh=False) is None
    planned = made.planned("a")["chat"]
    clock.now += 1000.0
    assert made.planned("a")["chat"] == planned
    why = made.why_not(CaseKey("a", "chat"), planned + 1, live=False, fresh=False)
    assert why == f"the plan has {planned} launches of a × chat"
    assert made.why_not(CaseKey("a", "chat"), planned + 1, live=False, fresh=True) is None


def test_an_unknown_server_is_planned_after_a_launch(clock: Clock) -> None:
    """A server without history is planned with the times of its first launch."""
    cells = [expected("new", startup_s=30.0, pass_s=30.0, cv=None), expected("known")]
    made = budget(300.0, clock, *cells, unknown="new")
    assert sorted([("new", 1), ("new", 2), ("known", 1)], key=lambda at: made.rank(*at))[0] == ("new", 1)
    assert made.most(CaseKey("new", "chat")) == MOST_LAUNCHES + 1
    assert made.why_not(CaseKey("new", "chat"), 1, live=False, fresh=False) is None
    clock.now += 5.0
    made.learn(CaseKey("new", "chat"), startup_s=2.0, pass_s=3.0)
    assert made.why_not(CaseKey("new", "chat"), 2, live=False, fresh=False) is None
    assert made.planned("new")["chat"] > FIRST_LOOK, "at 5 s a launch there is room for more"


def test_most_launches_of_a_workload(clock: Clock) -> None:
    """A workload can get at most what the others leave when they take their least."""
    made = budget(1000.0, clock, expected("a", cv=0.03), expected("b", cv=0.03))
    most = made.most(CaseKey("a", "chat"))
    assert made.planned("a")["chat"] + 1 < most
    assert most <= (1000.0 - FIRST_LOOK * 50) / 50 + 1


def test_experiments_and_gate_share_by_their_least(clock: Clock) -> None:
    made = budget(1000.0, clock, expected("a"), blocks_s={"one": 75.0, "two": 75.0})
    assert made.gate_s == pytest.approx(1000 * 150 / 450)
    assert budget(1000.0, clock, blocks_s={"one": 60.0}).gate_s == 0


def test_an_experiment_keeps_to_its_share(clock: Clock) -> None:
    """An experiment goes on while another block fits into its share of the time."""
    made = budget(1000.0, clock, blocks_s={"one": 100.0, "two": 100.0})
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


def test_the_record_says_why_each_workload_ended(clock: Clock) -> None:
    cells = [expected(name, cv=0.03) for name in ("a", "b", "c")]
    made = budget(900.0, clock, *cells)
    for name in ("a", "b"):
        assert made.why_not(CaseKey(name, "chat"), 1, live=False, fresh=False) is None
    clock.now += 900.0
    assert made.why_not(CaseKey("c", "chat"), 1, live=False, fresh=False) is not None
    planned = made.planned("b")["chat"]
    told = made.spending(
        {CaseKey("a", "chat"): 3, CaseKey("b", "chat"): planned},
        frozenset(CaseKey(name, "chat") for name in "abc"),
    )
    assert [(one.used, one.stopped) for one in told.launches] == [
        (3, "decided"),
        (planned, "planned"),
        (0, "budget"),
    ]
    assert (told.budget_s, told.spent_s) == (900.0, 900.0)
