"""Runs, baselines and a history written by the first edition (0.1.0, commit 41d4fa5) still load and are reported."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tokgate.cli import app
from tokgate.judge.verdict import Outcome
from tokgate.store.baselines import explain_incomparable, read_baseline
from tokgate.store.history import list_unreadable, read_history
from tokgate.store.runs import read_one_run

KEPT = Path(__file__).parent / "store" / "first_edition"
REGRESSED = "20261126T134705Z-cf6def"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A copy: reading a history writes its index beside the runs."""
    return Path(shutil.copytree(KEPT / "records", tmp_path / "runs"))


def test_a_regression_and_a_claim_load(runs: Path) -> None:
    record = read_one_run(runs, REGRESSED)
    outcomes = {(verdict.server, verdict.metric): verdict.outcome for verdict in record.verdicts}
    assert outcomes == {
        ("truth-a", "decode_tps"): Outcome.REGRESSED,
        ("truth-a", "prefill_tps"): Outcome.PASS,
        ("truth-a", "ttft_s"): Outcome.PASS,
        ("truth-a | truth-b", "decode_tps"): Outcome.CONFIRMED,
    }
    # The confirming launch of the regression, and four launches of the claim's two arms.
    assert len(record.measurements) == 4 + 4
    assert all(measurement.valid for measurement in record.measurements)
    assert record.measurements[0].gated["decode_tps"] == pytest.approx(169.198, abs=0.001)


@pytest.mark.parametrize("server", ["truth-a", "embedded-smollm2"])
def test_a_baseline_can_be_compared_with(runs: Path, server: str) -> None:
    baseline = read_baseline(KEPT / "baselines" / f"{server}.yaml")
    assert baseline is not None
    record = read_one_run(runs, baseline.source.removeprefix("run "))
    ((workload, cell),) = baseline.cells.items()
    conditions = record.conditions[workload]
    why = explain_incomparable(baseline, workload, conditions=conditions, fingerprint=record.fingerprint)
    assert why is None
    launches = [m.gated["decode_tps"] for m in record.measurements if m.workload == workload]
    assert cell.metrics["decode_tps"] == pytest.approx(launches)


def test_the_history_has_every_run(runs: Path) -> None:
    (truth,) = read_history(runs, server="truth-a", metric="decode_tps")
    assert [point.outcome for point in truth.points] == [Outcome.NO_BASELINE, Outcome.REGRESSED]
    (imported,) = read_history(runs, server="box")
    assert [point.value for point in imported.points] == pytest.approx([24.1, 24.3, 24.0])
    assert not list_unreadable(runs)


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (REGRESSED, "slower-schedule"),
        ("20261126T124432Z-bb819a", "no baseline is stored"),
        ("20261126T123611Z-3ee7d4", "cut off"),
    ],
    ids=["regressed", "no baseline", "interrupted"],
)
def test_a_report_shows_the_run(runs: Path, tmp_path: Path, run: str, expected: str) -> None:
    html, markdown = tmp_path / "r.html", tmp_path / "r.md"
    args = ["report", run, "--runs", str(runs), "--html", str(html), "--markdown", str(markdown)]
    result = CliRunner().invoke(app, args)
    assert result.exit_code == 0, result.output
    assert run in html.read_text()
    assert expected in markdown.read_text()
