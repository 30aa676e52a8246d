"""A hypothesis that an earlier run settled is known, until a fact that it depends on changes or it is too old."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tokgate.config.catalogue import Catalogue
from tokgate.config.server import AttachLaunch
from tokgate.judge.verdict import Outcome, Verdict
from tokgate.machine.fingerprint import Fact, Fingerprint, Weight
from tokgate.store.hypotheses import make_evidence
from tokgate.store.runs import RunRecord, RunWriter, read_run
from tokgate.suite.known import Standing, find_standing
from tokgate.suite.past import Past
from tokgate.suite.plan import Experiment, RunPlan, plan_run
from tokgate.suite.record import make_first_record

FIXTURES = Path(__file__).parents[3] / "fixtures"
NAME = "slots-help"
STARTED = datetime.fromisoformat("2026-03-01T01:00:00.000+00:00")
MONTH_S = 30 * 86400.0
HYPOTHESIS = """\
title: four slots serve four users faster than one
source: a test
a: {server: embedded-smollm2, override: {launch: {parallel: 1}}}
b: {server: embedded-smollm2}
workload: chat-c4
claim: {metric: output_tps, above: 1.1}
rival: they do not
"""


@pytest.fixture
def plan(tmp_path: Path) -> RunPlan:
    root = tmp_path / "fixtures"
    root.mkdir()
    for name in ("servers", "workloads", "prompts", "hardware"):
        (root / name).symlink_to(FIXTURES / name)
    (root / "hypotheses").mkdir()
    (root / "hypotheses" / f"{NAME}.yaml").write_text(HYPOTHESIS)
    (root / "profiles").mkdir()
    (root / "profiles" / "mine.yaml").write_text(f"description: x\nhypotheses: [{NAME}]\n")
    model = tmp_path / "model.gguf"
    model.write_bytes(b"weights")
    return move_model(plan_run(Catalogue(root), profile="mine"), model)


def change_arms(plan: RunPlan, change: Callable[[Any], Any]) -> RunPlan:
    """The plan with another launch in both arms."""
    (experiment,) = plan.experiments
    arms = {}
    for name, case in experiment.arms.items():
        server = msgspec.structs.replace(case.server, launch=change(case.server.launch))
        arms[name] = msgspec.structs.replace(case, server=server)
    changed = msgspec.structs.replace(experiment, arms=arms)
    return msgspec.structs.replace(plan, experiments=(changed,))


def move_model(plan: RunPlan, path: Path) -> RunPlan:
    return change_arms(plan, lambda launch: msgspec.structs.replace(launch, gguf=str(path)))


def make_record(plan: RunPlan, *, days: float = 0.0) -> RunRecord:
    """The first record of a run that starts `days` days after STARTED."""
    started = STARTED + timedelta(days=days)
    record = make_first_record(plan, run_id=f"{started:%Y%m%dT%H%M%SZ}-abcdef", command=())
    return msgspec.structs.replace(record, started=started.isoformat(timespec="milliseconds"))


def look(
    plan: RunPlan, out: Path, *, days: float = 3.0, record: RunRecord | None = None, again: bool = False
) -> Standing:
    record = record or make_record(plan, days=days)
    past = Past(out, record).last.hypotheses
    return find_standing(plan.experiments, record, past, shelf_life_s=MONTH_S, again=again)[NAME]


def decide(experiment: Experiment, outcome: Outcome) -> Verdict:
    return Verdict(
        kind="hypothesis",
        server="a | b",
        workload="chat-c4",
        metric="output_tps",
        outcome=outcome,
        ratio=1.3,
        launches=8,
        reason="measured",
        hypothesis=experiment.hypothesis.name,
    )


def keep(plan: RunPlan, out: Path, outcome: Outcome = Outcome.CONFIRMED, *, days: float = 0.0) -> RunWriter:
    """A run that tested the hypothesis, or knew it."""
    (experiment,) = plan.experiments
    record = make_record(plan, days=days)
    (out / record.run_id).mkdir(parents=True)
    writer = RunWriter(out / record.run_id, record)
    standing = look(plan, out, record=record)
    writer.add_dependencies(NAME, standing.depends_on)
    writer.set_verdicts((standing.verdict or decide(experiment, outcome),))
    writer.end()
    return writer


@pytest.mark.parametrize("outcome", [Outcome.CONFIRMED, Outcome.REFUTED, Outcome.ARM_FAILED])
def test_settled_hypothesis_is_known(plan: RunPlan, tmp_path: Path, outcome: Outcome) -> None:
    """The verdict is that of the run that measured it, with its age."""
    out = tmp_path / "runs"
    first = keep(plan, out, outcome)
    standing = look(plan, out)
    assert standing.verdict is not None
    assert standing.verdict.outcome is outcome
    assert standing.verdict.known is not None
    assert standing.verdict.known.run == first.record.run_id
    assert standing.verdict.notes[0] == f"known from run {first.record.run_id}, 3 days old"
    assert standing.why_again == ""


def test_first_test_has_no_reason(plan: RunPlan, tmp_path: Path) -> None:
    standing = look(plan, tmp_path / "runs")
    assert (standing.verdict, standing.why_again) == (None, "")
    assert None not in standing.depends_on.values()


def test_age_counts_from_the_measurement(plan: RunPlan, tmp_path: Path) -> None:
    """A run that knew the verdict does not make it younger."""
    out = tmp_path / "runs"
    first = keep(plan, out)
    second = keep(plan, out, days=20)
    (verdict,) = read_run(second.folder).verdicts
    assert verdict.known is not None
    known = look(plan, out, days=29).verdict
    assert known is not None
    assert known.known is not None
    assert known.known.run == first.record.run_id
    assert look(plan, out, days=31).why_again == (
        f"run {first.record.run_id} is 31 days old, and the profile's shelf life 30 days"
    )
    evidence = make_evidence(read_run(second.folder), NAME)
    assert (evidence.run, str(evidence.date)) == (first.record.run_id, "2026-03-01")


@pytest.mark.parametrize("outcome", [Outcome.INCONCLUSIVE, Outcome.INVALID])
def test_undecided_hypothesis_is_tested_again(plan: RunPlan, tmp_path: Path, outcome: Outcome) -> None:
    """Also when an earlier run had settled it: the newest test counts."""
    out = tmp_path / "runs"
    keep(plan, out)
    (experiment,) = plan.experiments
    record = make_record(plan, days=1)
    (out / record.run_id).mkdir()
    RunWriter(out / record.run_id, record).set_verdicts((decide(experiment, outcome),))
    standing = look(plan, out)
    assert standing.verdict is None
    assert standing.why_again == f"it was {outcome} in run {record.run_id}"


def test_again_tests_what_is_known(plan: RunPlan, tmp_path: Path) -> None:
    keep(plan, tmp_path / "runs")
    standing = look(plan, tmp_path / "runs", again=True)
    assert (standing.verdict, standing.why_again) == (None, "--tokgate-again")


def test_changed_fact_expires_it(plan: RunPlan, tmp_path: Path) -> None:
    """A key of an arm, the model's file, the claim, the kernel: each is named with both values."""
    out = tmp_path / "runs"
    keep(plan, out)
    context = change_arms(plan, lambda launch: msgspec.structs.replace(launch, context=512))
    assert "arm a launch.context: 4096 → 512; arm b launch.context: 4096 → 512" in look(context, out).why_again
    (experiment,) = plan.experiments
    claim = msgspec.structs.replace(experiment.hypothesis.claim, above=1.2)
    hypothesis = msgspec.structs.replace(experiment.hypothesis, claim=claim)
    claimed = msgspec.structs.replace(experiment, hypothesis=hypothesis)
    assert "claim: " in look(msgspec.structs.replace(plan, experiments=(claimed,)), out).why_again
    record = make_record(plan, days=3)
    facts = record.fingerprint.facts | {"kernel": Fact("7.0", Weight.MAY_DIFFER)}
    updated = msgspec.structs.replace(record, fingerprint=Fingerprint(facts))
    assert "kernel: " in look(plan, out, record=updated).why_again
    (tmp_path / "model.gguf").write_bytes(b"other weights")
    assert "arm b model files: " in look(plan, out).why_again


def test_title_and_status_change_nothing(plan: RunPlan, tmp_path: Path) -> None:
    keep(plan, tmp_path / "runs")
    (experiment,) = plan.experiments
    hypothesis = msgspec.structs.replace(experiment.hypothesis, title="reworded", status="confirmed")
    reworded = msgspec.structs.replace(experiment, hypothesis=hypothesis)
    assert look(msgspec.structs.replace(plan, experiments=(reworded,)), tmp_path / "runs").verdict is not None


def test_unreadable_fact_expires_it(plan: RunPlan, tmp_path: Path) -> None:
    """What runs at a URL, or a file that is gone, may have changed: the reason says that it cannot be read."""
    attached = change_arms(plan, lambda _: AttachLaunch(url="http://127.0.0.1:9"))
    keep(attached, tmp_path / "attached")
    assert "cannot be read: arm a server, arm b server" in look(attached, tmp_path / "attached").why_again
    keep(plan, tmp_path / "runs")
    (tmp_path / "model.gguf").unlink()
    assert "cannot be read: arm a model files" in look(plan, tmp_path / "runs").why_again


def test_record_of_an_earlier_version_expires(plan: RunPlan, tmp_path: Path) -> None:
    """It does not say what its verdict depends on."""
    out = tmp_path / "runs"
    record = keep(plan, out).record
    RunWriter(out / record.run_id, msgspec.structs.replace(record, depends_on={}))
    assert look(plan, out).why_again == f"run {record.run_id} did not record what its verdict depends on"


def test_another_machine_knows_nothing(plan: RunPlan, tmp_path: Path) -> None:
    keep(plan, tmp_path / "runs")
    record = make_record(plan, days=3)
    facts = record.fingerprint.facts | {"cpu_model": Fact("another", Weight.MUST_MATCH)}
    elsewhere = msgspec.structs.replace(record, fingerprint=Fingerprint(facts))
    standing = look(plan, tmp_path / "runs", record=elsewhere)
    assert (standing.verdict, standing.why_again) == (None, "")
