"""Servers compared with the opponent of a run, on a stand-in for live servers."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tokgate._exceptions import LaunchError, NotChecked
from tokgate.config.catalogue import Catalogue
from tokgate.judge.cell import CellKey
from tokgate.judge.verdict import Outcome
from tokgate.launch.server import Server, ServerFacts
from tokgate.suite.against import MOST_PAIRS, Against
from tokgate.suite.plan import Case, Opponent, RunPlan, plan_run

KEY = CellKey("x", "chat-c1", "decode_tps")


@pytest.fixture
def plan(catalogue: Catalogue) -> RunPlan:
    """Server `x` against `x/main` under one workload that gates one metric."""
    declared = plan_run(catalogue, profile="embedded").cases[0]

    def named(name: str) -> Case:
        return msgspec.structs.replace(declared, server=msgspec.structs.replace(declared.server, name=name))

    plan = plan_run(catalogue, profile="embedded")
    return msgspec.structs.replace(
        plan, cases=(named("x"),), opponent=Opponent(label="main", cases={"x": (named("x/main"),)})
    )


@pytest.fixture
def against(plan: RunPlan, live: Any) -> Against:
    """Whose arms differ inside, and fit next to each other."""
    live.no_room = ""
    live.values = {"x/candidate": 100.0, "x/main": 100.0}
    live.inside = lambda spec: ("--threads", "2" if spec.name == "x/candidate" else "4")
    start = live.start_together

    def start_together(specs: Any, launch: int) -> dict[str, Server]:
        start(specs, launch)
        return {
            arm: Server(
                spec=spec,
                facts=ServerFacts(name=spec.name, engine="llama.cpp", base_url="", model="m", args=live.inside(spec)),
                check_alive=lambda: None,
            )
            for arm, spec in specs.items()
        }

    live.start_together = start_together
    return Against(plan, live, [KEY], goes_on=lambda: True)


def test_an_unchanged_server_passes_early(against: Against, live: Any) -> None:
    """The verdict states the design, what differs inside, and how many launch pairs it took."""
    verdict = against.verdict(KEY)
    assert (verdict.outcome, verdict.design, verdict.server) == (Outcome.PASS, "duet", "x")
    assert verdict.launches < MOST_PAIRS
    assert "what differs: args" in verdict.notes
    assert "main" in verdict.reason
    assert against.verdicts == (verdict,)
    assert {one.server for one in live.kept} == {"x/candidate", "x/main"}, "both are on record"


def test_a_slower_server_is_confirmed(against: Against, live: Any) -> None:
    """By one more launch pair than it took to see it."""
    live.values["x/candidate"] = 80.0
    verdict = against.verdict(KEY)
    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.ratio == pytest.approx(0.8)
    assert verdict.reproduced == pytest.approx(0.8)


def test_what_does_not_differ_is_not_measured(against: Against, live: Any) -> None:
    live.inside = lambda spec: ()
    with pytest.raises(NotChecked, match="x and main are the same: image, version"):
        against.verdict(KEY)
    assert not live.kept
    with pytest.raises(NotChecked):
        against.verdict(KEY)


def test_a_server_that_does_not_start_is_invalid(against: Against, live: Any) -> None:
    live.broken = {"x/candidate": LaunchError("no such option --flash", server="x/candidate")}
    verdict = against.verdict(KEY)
    assert verdict.outcome is Outcome.INVALID
    assert "candidate: does not start: " in verdict.reason
    assert "no such option --flash" in verdict.reason


def test_an_invalid_launch_makes_the_cell_invalid(against: Against, live: Any) -> None:
    live.invalid = {("x/main", 2)}
    verdict = against.verdict(KEY)
    assert verdict.outcome is Outcome.INVALID
    assert "main: launch 2 is not valid: host_busy: others ran" in verdict.reason


def test_no_time_for_a_launch_pair(plan: RunPlan, against: Against, live: Any) -> None:
    """Without one there is no verdict; with some there is what they show."""
    with pytest.raises(NotChecked, match="the budget was spent before its first launch pair"):
        Against(plan, live, [KEY], goes_on=lambda: False).verdict(KEY)
    left = iter([True] * 3 + [False] * 9)
    verdict = Against(plan, live, [KEY], goes_on=lambda: next(left)).verdict(KEY)
    assert verdict.outcome in {Outcome.INCONCLUSIVE, Outcome.PASS}
    assert verdict.launches == 2


def test_mirrored_launches_are_pairs(plan: RunPlan, against: Against, live: Any) -> None:
    """A block of four launches gives two pairs, and the verdict says why they were not alive together."""
    live.no_room = "x needs about 20 GB of memory, and 8 GB is free"
    start = live.start

    def alone(spec: Any, launch: int) -> Server:
        start(spec, launch)
        facts = ServerFacts(name=spec.name, engine="llama.cpp", base_url="", model="m", args=live.inside(spec))
        return Server(spec=spec, facts=facts, check_alive=lambda: None)

    live.start = alone
    verdict = against.verdict(KEY)
    assert (verdict.outcome, verdict.design) == (Outcome.PASS, "blocks")
    assert verdict.launches % 2 == 0
    assert f"in mirrored blocks: {live.no_room}" in verdict.notes
