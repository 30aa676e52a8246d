"""The main job on llama.cpp's real server: measure, accept as baseline, compare; select a part of it."""

from __future__ import annotations

import json
import re
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

RECORD = {"schema", "run_id", "started", "ended", "profile", "fingerprint", "measurements", "verdicts"}
MEASUREMENT = {"server", "workload", "launch", "valid", "problems", "metrics", "samples"}
VERDICT = {
    "kind", "server", "workload", "metric", "outcome", "ratio", "ci_low", "ci_high", "min_detectable_drop", "reason",
}  # fmt: skip
METRICS = ("decode_tps", "prefill_tps", "ttft_s")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, make_project: Any) -> Any:
    """A project in which the suite ran once, of which nothing was said yet."""
    project = make_project(tmp_path_factory.mktemp("measured"))
    project.ask_canaries()
    finished = project.quiet_perf("--tokgate-profile", "brief")
    assert finished.code == 0, finished.output
    assert "3 no_baseline" in finished.output
    # Without a terminal each measured cell is a line, instead of a dot.
    assert re.search(r"^tokgate: 2/2 embedded-smollm2 × brief, launch 2/2: decode_tps .* tok/s", finished.output, re.M)
    assert re.search(r"launch 1/2: decode_tps .* · about \S+ left$", finished.output, re.M)
    return project


@pytest.fixture
def after_first(measured: Any, tmp_path: Path, make_project: Any) -> Any:
    """A copy of it to go on from."""
    shutil.copytree(measured.folder, tmp_path, dirs_exist_ok=True)
    return type(measured)(tmp_path)


def invalidate(run: Path) -> None:
    """The record of a run whose first measurement was not valid."""
    record = json.loads((run / "run.json").read_bytes())
    record["measurements"][0] |= {
        "valid": False,
        "problems": [{"rule": "host_busy", "detail": "a compiler ran"}],
    }
    (run / "run.json").write_text(json.dumps(record))


def test_a_run_records_everything(measured: Any) -> None:
    record = measured.record()
    assert record.keys() >= RECORD
    assert record["ended"] > record["started"]
    assert record["profile"] == "brief"
    assert [(one["launch"], one["valid"]) for one in record["measurements"]] == [(1, True), (2, True)]
    for one in record["measurements"]:
        assert one.keys() >= MEASUREMENT
        assert len(one["samples"]) == 2
        assert all(one["metrics"][name] > 0 for name in METRICS)
    assert record["verdicts"][0]["kind"] == "answers"
    assert record["verdicts"][0]["outcome"] == "pass"
    assert [verdict["metric"] for verdict in measured.verdicts()] == list(METRICS)
    for verdict in measured.verdicts():
        assert verdict.keys() >= VERDICT
        assert verdict["outcome"] == "no_baseline"
        assert "tokgate baseline accept" in verdict["reason"]


def test_other_formats_lie_beside_the_record(measured: Any) -> None:
    (run,) = measured.runs
    cases = ET.parse(run / "junit.xml").findall(".//testcase")
    assert len(cases) == 6
    properties = {p.get("name"): p.get("value") for case in cases for p in case.findall(".//property")}
    assert properties["outcome"] == "no_baseline"
    benchmarks = json.loads((run / "benchmark.json").read_bytes())["benchmarks"]
    figures = [one["metrics"]["decode_tps"] for one in measured.record()["measurements"]]
    assert [one["extra_info"]["decode_tps"] for one in benchmarks] == figures
    logs = sorted(path.name for path in (run / "logs").iterdir())
    assert logs == ["embedded-smollm2-1.log", "embedded-smollm2-2.log"]
    assert all((run / "logs" / name).stat().st_size > 0 for name in logs)


def test_accepted_run_is_the_next_baseline(after_first: Any) -> None:
    """The next run is compared with an accepted run."""
    project = after_first
    accepted = project.tokgate("baseline", "accept", "latest")
    assert accepted.code == 0, accepted.output
    record = project.record()
    (stored,) = project.folder.glob("baselines/local/*/embedded-smollm2.yaml")
    assert str(stored.relative_to(project.folder)) in accepted.output
    assert record["run_id"] in stored.read_text()

    finished = project.quiet_perf("--tokgate-profile", "brief")
    verdicts = project.verdicts()
    assert finished.code == 0, finished.output
    assert {one["canary"]["agreement"] for one in project.record()["measurements"]} == {1.0}
    assert {one["outcome"] for one in verdicts} <= {"pass", "improved", "inconclusive"}
    for one in verdicts:
        assert one["ci_low"] < one["ratio"] < one["ci_high"]
        assert f"{one['ratio']:.3f}" in finished.output


def test_invalid_run_is_accepted_only_with_a_reason(after_first: Any) -> None:
    """An invalid run does not become a baseline unless it is forced with a reason."""
    project = after_first
    invalidate(project.runs[-1])
    refused = project.tokgate("baseline", "accept", "latest")
    assert refused.code == 3
    assert "brief launch 1 is invalid: host_busy: a compiler ran" in refused.output
    assert not (project.folder / "baselines").exists()

    unexplained = project.tokgate("baseline", "accept", "latest", "--force")
    assert unexplained.code == 2
    assert "--reason TEXT" in unexplained.output

    forced = project.tokgate("baseline", "accept", "latest", "--force", "--reason", "it never touched this core")
    assert forced.code == 0, forced.output
    (stored,) = project.folder.glob("baselines/local/*/*.yaml")
    assert "forced: it never touched this core" in stored.read_text()


def test_a_run_that_does_not_exist_is_named(project: Any) -> None:
    finished = project.tokgate("baseline", "accept", "latest")
    assert finished.code == 3
    assert "Next: `pytest -m perf`, or pass --runs DIR" in finished.output
    assert "Traceback" not in finished.output


def test_one_verdict_measures_only_what_it_needs(project: Any) -> None:
    """A single verdict measures only what it needs."""
    project.workload("other", requests=1, max_tokens=16)
    project.profile("two", "embedded-smollm2", "brief", "other", launches=2)
    finished = project.quiet_perf("--tokgate-profile", "two", "-k", "test_verdict and brief and decode_tps")
    assert finished.code == 0, finished.output
    record = project.record()
    assert [(one["workload"], one["launch"]) for one in record["measurements"]] == [
        ("brief", 1),
        ("brief", 2),
    ]
    assert [one["metric"] for one in record["verdicts"]] == ["decode_tps"]
    assert len(list((project.runs[-1] / "logs").iterdir())) == 2


def test_one_measuring_test_alone_starts_one_launch(project: Any) -> None:
    test = "tests/perf/test_speed.py::test_measure[embedded-smollm2-2-brief]"
    finished = project.quiet_perf("--tokgate-profile", "brief", test)
    assert finished.code == 0, finished.output
    record = project.record()
    assert [one["launch"] for one in record["measurements"]] == [2]
    assert record["verdicts"] == []
    assert len(list((project.runs[-1] / "logs").iterdir())) == 1
