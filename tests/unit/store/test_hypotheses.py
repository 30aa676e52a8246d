"""Settling a hypothesis changes its status and evidence and no other byte of its file."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest

from tokgate._exceptions import RecordError, UsageError
from tokgate.config.hypothesis import Arm, Claim, Evidence, Hypothesis
from tokgate.config.load import Document
from tokgate.judge.verdict import Outcome, Verdict
from tokgate.machine.fingerprint import Fingerprint
from tokgate.store.hypotheses import make_evidence, write_evidence
from tokgate.store.runs import RunRecord

DECLARED = sorted((Path(__file__).parents[3] / "fixtures" / "hypotheses").glob("*.yaml"))


def evidence(run: str, outcome: str = "refuted") -> Evidence:
    return Evidence(date=date(2026, 11, 25), run=run, outcome=outcome, ratio=1.002, blocks=2)


@pytest.mark.parametrize("declared", DECLARED, ids=[path.stem for path in DECLARED])
def test_hypotheses_can_be_settled_twice(declared: Path, tmp_path: Path) -> None:
    """Every declared hypothesis can be settled, twice."""
    path = Path(shutil.copy(declared, tmp_path))
    before = Document.read(path).decode(Hypothesis).evidence
    write_evidence(path, evidence("first"))
    write_evidence(path, evidence("second", "confirmed"))
    settled = Document.read(path).decode(Hypothesis)
    assert settled.status == "confirmed"
    assert settled.evidence == (evidence("second", "confirmed"), evidence("first"), *before)
    kept = [line for line in declared.read_text().splitlines() if not line.startswith(("status:", "evidence:"))]
    assert [line for line in path.read_text().splitlines() if line in kept] == kept


def test_a_run_is_evidence_once(tmp_path: Path) -> None:
    path = Path(shutil.copy(DECLARED[0], tmp_path))
    write_evidence(path, evidence("first"))
    with pytest.raises(UsageError, match="the evidence already contains run first"):
        write_evidence(path, evidence("first"))


def test_flow_style_evidence_is_rejected(tmp_path: Path) -> None:
    """A person must add to evidence that is written on one line."""
    path = Path(shutil.copy(DECLARED[0], tmp_path))
    text = path.read_text() + "evidence: [{date: 2026-01-01, run: old, outcome: refuted}]\n"
    path.write_text(text)
    with pytest.raises(RecordError, match="add this by hand"):
        write_evidence(path, evidence("first"))
    assert path.read_text() == text


@pytest.mark.parametrize(("arms", "launches"), [("ab", 12), ("abc", 18)])
def test_blocks_are_counted_by_arms(arms: str, launches: int) -> None:
    """A block launches each arm twice: 12 launches of two arms and 18 of three are three blocks."""
    hypothesis = Hypothesis(
        name="claimed",
        title="t",
        source="s",
        arms={arm: Arm(server=arm) for arm in arms},
        workload="w",
        claim=Claim(metric="decode_tps", arm="b", above=1.0),
        rival="r",
    )
    verdict = Verdict(
        kind="hypothesis",
        server="s",
        workload="w",
        metric="decode_tps",
        outcome=Outcome.CONFIRMED,
        launches=launches,
        hypothesis="claimed",
    )
    run = RunRecord(
        run_id="r",
        started="2026-01-01T00:00:00.000+00:00",
        tokgate="0",
        command=(),
        profile="p",
        baselines="b",
        fingerprint=Fingerprint({}),
        conditions={},
        verdicts=(verdict,),
        hypotheses=(hypothesis,),
    )
    assert make_evidence(run, "claimed").blocks == 3
