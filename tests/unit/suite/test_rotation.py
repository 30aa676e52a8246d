"""What a night has time for, and that everything has its turn."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tokgate.judge.cell import CaseKey
from tokgate.judge.plan import Costs, Expected
from tokgate.suite.rotation import DAY_S, Unit, choose, count_nights


def expected(server: str, workload: str, *, startup_s: float = 100.0, pass_s: float = 60.0) -> Expected:
    return Expected(
        server=server,
        workload=workload,
        metric="decode_tps",
        startup_s=startup_s,
        pass_s=pass_s,
        tolerance=0.03,
        promise=0.05,
    )


def unit(server: str, workload: str = "chat", **changes: Any) -> Unit:
    values: dict[str, Any] = {
        "name": f"{server} × {workload}",
        "cases": (CaseKey(server, workload),),
        "launches": 5,
        "answers": 3,
    }
    return Unit(**(values | changes))


def answered(server: str, days: float, workload: str = "chat", **changes: Any) -> Unit:
    values: dict[str, Any] = {"state": "answered", "age_s": days * DAY_S}
    return unit(server, workload, **(values | changes))


def names(units: tuple[Unit, ...]) -> list[str]:
    return [each.name.partition(" ")[0] for each in units]


COSTS = Costs([expected(name, "chat") for name in "abcd"] + [expected("a", "code")])


def test_new_then_expired_then_oldest() -> None:
    """An answer that decided nothing counts as twice as old."""
    units = [
        answered("a", 5),
        answered("b", 3, state="open"),
        unit("c"),
        answered("d", 1, state="expired"),
    ]
    assert names(choose(units, COSTS, 1e6).tonight) == ["c", "d", "b", "a"]
    two = choose(units, COSTS, 2 * 800.0)
    assert names(two.tonight) == ["c", "d"]
    assert names(two.later) == ["b", "a"]
    assert two.seconds == 1600.0


def test_start_is_paid_once() -> None:
    """The second workload of a server adds only its passes, so it gives more answers a minute than another server."""
    units = [unit("a"), unit("a", "code"), unit("b")]
    choice = choose(units, COSTS, 1100.0)
    assert [each.name for each in choice.tonight] == ["a × chat", "a × code"]
    assert choice.seconds == 5 * (100 + 60 + 60)
    assert choice.launches == {CaseKey("a", "chat"): 5, CaseKey("a", "code"): 5}


def test_hypothesis_uses_the_launches_of_the_gate() -> None:
    """It costs nothing where both of its arms are measured tonight, and their launches where they are not."""
    shared = Unit(name="faster", cases=(CaseKey("a", "chat"), CaseKey("b", "chat")), launches=4)
    both = choose([unit("a"), unit("b"), shared], COSTS, 1600.0)
    assert names(both.tonight) == ["a", "b", "faster"]
    alone = choose([shared], COSTS, 1e6)
    assert alone.seconds == 2 * 4 * 160
    assert alone.launches == {CaseKey("a", "chat"): 4, CaseKey("b", "chat"): 4}
    own = Unit(name="own", cases=(), launches=0, own_s=700.0)
    assert choose([own], COSTS, 699.0).tonight == ()
    assert choose([own], COSTS, 700.0).seconds == 700.0


def test_small_budget_plans_fewer_launches() -> None:
    """As many as a verdict needs, or one; where not even that fits, nothing."""
    assert choose([unit("a")], COSTS, 800.0).launches == {CaseKey("a", "chat"): 5}
    assert choose([unit("a")], COSTS, 700.0).launches == {CaseKey("a", "chat"): 3}
    assert choose([unit("a")], COSTS, 200.0).launches == {CaseKey("a", "chat"): 1}
    assert choose([unit("a")], COSTS, 100.0).tonight == ()
    assert choose([], COSTS, 100.0).tonight == ()


def test_nights_until_everything_is_answered() -> None:
    units = [unit(name) for name in "abcd"]
    assert count_nights(units, COSTS, 4 * 800.0) == 1
    assert count_nights(units, COSTS, 2 * 800.0) == 2
    assert count_nights(units, COSTS, 800.0) == 4
    assert count_nights(units, COSTS, 100.0) is None
    assert count_nights([], COSTS, 100.0) == 0


@given(st.data())
def test_everything_has_its_turn(data: st.DataObject) -> None:
    """Whatever it costs and however old it is, each unit that fits a night alone is answered; no night is too long."""
    servers = [str(number) for number in range(data.draw(st.integers(1, 8)))]
    times = st.floats(1.0, 100.0)
    cells = [expected(name, "chat", startup_s=data.draw(times), pass_s=data.draw(times)) for name in servers]
    costs = Costs(cells)
    state = st.sampled_from(["new", "expired", "open", "answered"])
    units = [
        unit(
            name,
            state=data.draw(state),
            age_s=data.draw(st.floats(0, 50 * DAY_S)),
            answers=data.draw(st.integers(1, 4)),
        )
        for name in servers
    ]
    longest = max(costs.total({CaseKey(name, "chat"): 5}) for name in servers)
    budget_s = longest * data.draw(st.floats(1.0, 3.0))
    nights = count_nights(units, costs, budget_s)
    assert nights is not None
    assert choose(units, costs, budget_s).seconds <= budget_s * (1 + 1e-9)
    assert not math.isnan(choose(units, costs, budget_s).seconds)
