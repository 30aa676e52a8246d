"""Hypotheses that the launches of the gate answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from tokgate.config.catalogue import Catalogue
from tokgate.judge.cell import CaseKey
from tokgate.judge.verdict import Outcome
from tokgate.measure.measurement import Measurement, Problem
from tokgate.measure.roofline import compute_roofline
from tokgate.suite.plan import Experiment, RunPlan, plan_run
from tokgate.suite.served import NOTE, collect_blocks, decide_from_launches, find_served

FIXTURES = Path(__file__).parents[3] / "fixtures"
A, B = CaseKey("vllm-current", "answer-c1"), CaseKey("vllm-awq", "answer-c1")

Launch = Callable[..., Measurement]


@pytest.fixture(scope="module")
def box() -> RunPlan:
    return plan_run(Catalogue(FIXTURES), profile="gfx1151")


def find(plan: RunPlan, name: str) -> Experiment:
    return next(experiment for experiment in plan.experiments if experiment.hypothesis.name == name)


@pytest.fixture
def launch(bare_measurement: Measurement, box: RunPlan) -> Launch:
    """A launch of the gate, at a minute of the night."""

    def measured(case: CaseKey, number: int, tps: float, *, minute: int) -> Measurement:
        spec = box.case(*case)
        model = spec.server.model
        roof = compute_roofline(
            spec.hardware,
            bytes_per_token=model.bytes_read(0),
            parameters_per_token=model.parameters_per_token,
            streams=1,
        )
        facts = replace(bare_measurement.facts, name=case.server, model=model.id, engine="vllm")
        return replace(
            bare_measurement,
            server=case.server,
            workload=case.workload,
            launch=number,
            started=f"2026-01-01T01:{minute:02}:00.000+00:00",
            gated={"decode_tps": tps},
            facts=facts,
            roofline=roof,
        )

    return measured


def mirror(launch: Launch, *, rounds: int, order: str = "ABBA") -> dict[CaseKey, dict[int, Measurement]]:
    """Rounds of launches in this order: A at 6.4 tok/s, B at 16."""
    launches: dict[CaseKey, dict[int, Measurement]] = {A: {}, B: {}}
    for at, arm in enumerate(order * (rounds // 2)):
        case, tps = (A, 6.4) if arm == "A" else (B, 16.0)
        number = len(launches[case]) + 1
        launches[case][number] = launch(case, number, tps + 0.01 * (at % 3), minute=at)
    return launches


@pytest.mark.parametrize(
    ("name", "servers"),
    [
        ("awq-over-fp16", ["vllm-current", "vllm-awq"]),
        ("architecture-limits-fp16", ["vllm-current"]),
        ("format-share", []),  # both arms fit into memory, so they are compared in turns
        ("shm-size-as-written", []),  # an override
        ("datacenter-reach", []),  # arithmetic
    ],
)
def test_served_hypotheses(box: RunPlan, name: str, servers: list[str]) -> None:
    assert [case.server for case in find_served(find(box, name), box)] == servers


def test_workload_that_is_not_measured_serves_nothing(box: RunPlan) -> None:
    without = replace(box, cases=tuple(case for case in box.cases if case.workload.name != "answer-c1"))
    assert find_served(find(box, "awq-over-fp16"), without) == ()


def test_mirrored_launches_decide(box: RunPlan, launch: Launch) -> None:
    """Four launches of each arm are two blocks."""
    verdict = decide_from_launches(find(box, "awq-over-fp16"), mirror(launch, rounds=4))
    assert verdict is not None
    assert verdict.outcome is Outcome.CONFIRMED
    assert verdict.ratio == pytest.approx(2.5, rel=0.01)
    assert verdict.launches == 8
    assert NOTE in verdict.notes


@pytest.mark.parametrize(("rounds", "order"), [(2, "ABBA"), (4, "ABAB"), (4, "AABB")])
def test_too_few_or_not_mirrored(box: RunPlan, launch: Launch, rounds: int, order: str) -> None:
    """One block decides nothing, and launches in one direction would drift: the arms get launches of their own."""
    assert decide_from_launches(find(box, "awq-over-fp16"), mirror(launch, rounds=rounds, order=order)) is None


def test_invalid_launch_leaves_its_block_out(launch: Launch) -> None:
    launches = mirror(launch, rounds=6)
    bad = replace(launches[A][3], valid=False, problems=(Problem(rule="host_busy", detail="x"),))
    arms: Mapping[str, Mapping[int, Measurement]] = {"a": {**launches[A], 3: bad}, "b": launches[B]}
    assert [block.arms for block in collect_blocks(arms, "decode_tps")] == [("a", "b"), ("a", "b")]
    assert len(collect_blocks({"a": launches[A], "b": {}}, "decode_tps")) == 0


def test_arms_that_do_not_differ_are_invalid(box: RunPlan, launch: Launch) -> None:
    """The manipulation check holds for these launches, too."""
    launches = mirror(launch, rounds=4)
    same = {number: replace(run, facts=launches[A][1].facts) for number, run in launches[B].items()}
    verdict = decide_from_launches(find(box, "awq-over-fp16"), {A: launches[A], B: same})
    assert verdict is not None
    assert verdict.outcome is Outcome.INVALID
    assert "the treatment did not reach the server" in verdict.reason


def test_share_is_that_of_the_launches_of_the_gate(box: RunPlan, launch: Launch) -> None:
    """6.4 tok/s is 84 % of the measured bandwidth, not less than 70 %."""
    claim = find(box, "architecture-limits-fp16")
    launches = {A: {number: launch(A, number, 6.4 + 0.01 * number, minute=number) for number in (1, 2, 3)}}
    verdict = decide_from_launches(claim, launches)
    assert verdict is not None
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.launches == 3
    assert decide_from_launches(claim, {A: {1: launches[A][1]}}) is None
    unknown = {number: msgspec.structs.replace(run, roofline=None) for number, run in launches[A].items()}
    assert decide_from_launches(claim, {A: unknown}) is None
