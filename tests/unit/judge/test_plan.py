"""Where the launches of a budget go."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokgate.judge.plan import (
    BASELINE_LAUNCHES,
    MOST_LAUNCHES,
    Expected,
    all_decided,
    compute_fewest_s,
    plan_fixed,
    plan_launches,
)
from tokgate.judge.sequential import FIRST_LOOK
from tokgate.judge.verdict import Outcome, Verdict


def expected(server: str, cv: float | None = 0.01, **changes: Any) -> Expected:
    values: dict[str, Any] = {
        "server": server,
        "workload": "short",
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


CELLS = st.lists(
    st.builds(
        expected,
        st.sampled_from("abcd"),
        st.one_of(st.none(), st.floats(0.001, 0.1)),
        workload=st.sampled_from(["short", "long"]),
        metric=st.sampled_from(["decode_tps", "ttft_s"]),
        pass_s=st.floats(1, 100),
        reference=st.sampled_from([None, "launches", "nights", "figure"]),
        values=st.integers(1, 15),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=50, deadline=None)
@given(CELLS, st.floats(10, 10_000))
def test_a_plan_keeps_to_its_budget(cells: list[Expected], budget_s: float) -> None:
    """A plan keeps to its budget, unless even the fewest launches exceed it."""
    made = plan_launches(cells, budget_s)
    assert made.total_s == pytest.approx(sum(server.seconds for server in made.servers))
    launches = {(one.server, load): count for one in made.servers for load, count in one.launches.items()}
    assert launches.keys() == {(cell.server, cell.workload) for cell in cells}
    assert all(FIRST_LOOK <= count <= MOST_LAUNCHES for count in launches.values())
    assert all(one.starts == max(one.launches.values()) for one in made.servers)
    assert all(cell.launches == launches[cell.server, cell.workload] for cell in made.cells)
    assert all((cell.drop is None) == bool(cell.unseen) for cell in made.cells)
    assert all(cell.drop is None or 0 < cell.drop <= 1 for cell in made.cells)
    if made.total_s > budget_s:
        assert set(launches.values()) == {FIRST_LOOK}
        assert made.total_s == pytest.approx(compute_fewest_s(cells))


def test_the_cost_of_a_launch() -> None:
    """A launch costs its start, and each workload once."""
    cells = [expected("a"), expected("a", metric="ttft_s"), expected("a", workload="long", pass_s=40.0)]
    assert plan_launches(cells, 1).total_s == FIRST_LOOK * (30 + 20 + 40) == compute_fewest_s(cells)
    assert plan_fixed(cells, 7).total_s == 7 * (30 + 20 + 40)


def test_the_noisy_server_comes_last() -> None:
    """The noisy server gets the launches and comes last."""
    made = plan_launches([expected("noisy", 0.02), expected("quiet", 0.003)], 3000)
    assert [server.server for server in made.servers] == ["quiet", "noisy"]
    quiet, noisy = made.servers
    assert quiet.starts == FIRST_LOOK
    assert noisy.starts > 5


def test_the_noisy_workload_gets_the_launches() -> None:
    """The noisy workload of a server gets its launches."""
    cells = [expected("a", 0.003, workload="quiet"), expected("a", 0.02, workload="noisy")]
    (server,) = plan_launches(cells, 1000).servers
    assert server.launches["quiet"] == FIRST_LOOK
    assert server.launches["noisy"] == server.starts > 5
    assert server.seconds == 30 * server.starts + 20 * (FIRST_LOOK + server.starts)


def test_one_launch_is_reserved() -> None:
    """One launch is reserved to confirm a regression."""
    cells = [expected("a", 0.02), expected("b", 0.02, startup_s=200.0)]
    made = plan_launches(cells, 1500)
    assert 1500 - made.total_s >= 200 + 20


def test_launches_end_where_the_promise_is_kept() -> None:
    made = plan_launches([expected("a", 0.01)], 1e6, family=20)
    (cell,) = made.cells
    assert cell.launches <= 6
    assert cell.drop is not None
    assert cell.drop < 0.05
    assert made.total_s < 1000


def test_saved_time_goes_to_noisy_servers() -> None:
    """Time that quiet servers save goes to noisy ones when the rest is planned again."""
    quiet, noisy = expected("quiet", 0.02), expected("noisy", 0.03)
    whole = plan_launches([quiet, noisy], 800, family=2)
    spent = FIRST_LOOK * 50.0  # the quiet one was all_decided at its first look
    again = plan_launches([noisy], 800 - spent, family=2)
    assert again.cells[0].launches > whole.cells[1].launches


def test_more_budget_never_sees_less() -> None:
    drops = []
    for budget_s in (400, 800, 1600, 3200):
        made = plan_launches([expected("a", 0.02), expected("b", 0.03)], budget_s)
        drops.append([cell.drop for cell in made.cells])
    for before, after in pairwise(drops):
        assert all((a or 0) <= (b or 0) for a, b in zip(after, before, strict=True))


def test_launches_are_not_spent_where_they_do_not_help() -> None:
    nights = expected("nights", 0.05, reference="nights")
    alone = expected("alone", 0.05, reference="launches", values=1)
    made = plan_launches([nights, alone], 1e6)
    assert {cell.launches for cell in made.cells} == {FIRST_LOOK}
    assert [cell.unseen for cell in made.cells] == ["", "no spread"]


def test_plan_without_a_baseline() -> None:
    """A cell without a baseline is planned as its next baseline."""
    (cell,) = plan_launches([expected("new", 0.03, reference=None, values=0)], 1e6).cells
    assert (cell.drop, cell.unseen) == (None, "no baseline")
    assert cell.launches == BASELINE_LAUNCHES


def test_power_without_history_is_assumed() -> None:
    """What a cell without history will detect is computed from an assumed scatter, and says that it is."""
    (cell,) = plan_launches([expected("new", None)], 1e6).cells
    assert cell.drop is not None
    assert (cell.assumed, cell.unseen) == (True, "")
    assert cell.launches > FIRST_LOOK


def test_a_figure_is_seen_only_beyond_its_tolerance() -> None:
    figure = plan_launches([expected("a", 0.005, reference="figure", values=1)], 300).cells[0].drop
    launches = plan_launches([expected("a", 0.005)], 300).cells[0].drop
    assert figure is not None
    assert launches is not None
    assert figure > launches


@pytest.mark.parametrize("name", ["startup_s", "pass_s", "cv"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_bad_times_and_scatter_are_rejected(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} of a x short is {value!r}"):
        plan_launches([expected("a", **{name: value})], 100)


def test_no_cells_or_budget_are_rejected() -> None:
    with pytest.raises(ValueError, match="no cells to plan"):
        plan_launches([], 100)
    with pytest.raises(ValueError, match="a finite number of seconds above zero, got nan"):
        plan_launches([expected("a")], math.nan)


def test_an_empty_reference_is_rejected() -> None:
    with pytest.raises(ValueError, match="the reference of a x short has 0 values"):
        plan_launches([expected("a", values=0)], 100)


def verdict_of(outcome: Outcome) -> Verdict:
    return Verdict(kind="gate", server="a", workload="w", metric="decode_tps", outcome=outcome)


def test_all_decided() -> None:
    """A server is finished when all of its cells are decided."""
    assert all_decided([verdict_of(Outcome.PASS), verdict_of(Outcome.REGRESSED), verdict_of(Outcome.IMPROVED)])
    assert not all_decided([verdict_of(Outcome.PASS), verdict_of(Outcome.INCONCLUSIVE)])
    assert not all_decided([verdict_of(Outcome.PASS), verdict_of(Outcome.NO_BASELINE)])
