"""A run with a budget on llama.cpp's real server: it stops early, keeps to its time, says what it could not check."""

from __future__ import annotations

import json
import math
import shutil
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

LAUNCHES = 5


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, make_project: Any) -> Any:
    """A project in which the suite ran once."""
    project = make_project(tmp_path_factory.mktemp("measured"))
    project.ignore_disturbances()
    finished = project.perf("--tokgate-profile", "brief")
    assert finished.code == 0, finished.output
    return project


@pytest.fixture
def after_first(measured: Any, tmp_path: Path) -> Any:
    """A copy of it to go on from."""
    shutil.copytree(measured.folder, tmp_path, dirs_exist_ok=True)
    return type(measured)(tmp_path)


def accept(project: Any, *factors: float) -> None:
    """Accept the run, then have its baseline hold its first launch's speed times each of these."""
    accepted = project.tokgate("baseline", "accept", "latest")
    assert accepted.code == 0, accepted.output
    (path,) = project.folder.glob("baselines/local/*/embedded-smollm2.yaml")
    stored = yaml.safe_load(path.read_text())
    cell = stored["cells"]["brief"]
    for metric, values in cell["metrics"].items():
        cell["metrics"][metric] = [
            values[0] / factor if metric == "ttft_s" else values[0] * factor for factor in factors
        ]
    path.write_text(yaml.safe_dump(stored, sort_keys=False))


def test_clear_cells_stop_early(after_first: Any) -> None:
    """Cells that are clearly decided stop early, and the record says why."""
    project = after_first
    wide = [0.8, 0.9, 1.0, 1.1, 1.2] * 2
    accept(project, *[0.01 * factor for factor in wide])  # a hundred times slower than it is
    finished = project.perf("--tokgate-profile", "brief", "--tokgate-budget", "30m", "-rs")
    assert finished.code == 0, finished.output
    record = project.record()
    assert {one["outcome"] for one in record["verdicts"]} == {"improved"}
    (launches,) = record["spending"]["launches"]
    assert launches["stopped"] == "decided"
    assert 3 <= launches["used"] < launches["planned"]
    assert [one["launch"] for one in record["measurements"]] == list(range(1, launches["used"] + 1))
    assert f"embedded-smollm2 × brief was decided after {launches['used']} launches" in finished.output
    assert "smallest detectable drop" in finished.output


def test_clock_ends_a_run_planned_too_long(after_first: Any) -> None:
    """The clock ends a run that was planned too long."""
    project = after_first
    (first,) = project.runs
    record = json.loads((first / "run.json").read_bytes())
    began, began_next = (datetime.fromisoformat(one["started"]) for one in record["measurements"])
    room_for_three = math.ceil(2.5 * (began_next - began).total_seconds())
    # As if a launch took no time, and two were never alike: many are planned.
    for one, apart in zip(record["measurements"], (1.0, 1.5), strict=True):
        one["gated"] = {metric: value * apart for metric, value in one["gated"].items()}
        one["facts"]["startup_s"] = one["host"]["duration_s"] = 0.01
        one["warmup_passes"] = 0
    (first / "run.json").write_text(json.dumps(record))
    finished = project.perf("--tokgate-profile", "brief", "--tokgate-budget", f"{room_for_three}s")
    assert finished.code == 0, finished.output
    record = project.record()
    spending = record["spending"]
    (launches,) = spending["launches"]
    assert launches["stopped"] == "budget"
    assert 0 < launches["used"] == len(record["measurements"]) < launches["planned"]
    times = [record["started"], *(one["started"] for one in record["measurements"])]
    longest = max((b - a).total_seconds() for a, b in pairwise(map(datetime.fromisoformat, times)))
    assert spending["spent_s"] < spending["budget_s"] + 2 * longest
    assert {one["launches"] for one in record["verdicts"]} == {launches["used"]}


@pytest.mark.long
def test_what_exceeds_the_budget_has_its_turn(project: Any) -> None:
    """What does not fit is left for later, also with --tokgate-require; the next run begins with it."""
    second = project.folder / "fixtures" / "servers" / "second.yaml"
    second.write_text("extends: embedded-smollm2\ndescription: the same again\n")
    profile = (
        f"description: of a test\nlaunches: {LAUNCHES}\n"
        "cells:\n  - servers: [embedded-smollm2, second]\n    workloads: [brief]\n"
    )
    (project.folder / "fixtures" / "profiles" / "both.yaml").write_text(profile)
    planned = project.tokgate("plan", "--profile", "both", "--json")
    assert planned.code == 0, planned.output
    total_s = json.loads(planned.output)["alone_s"]
    one_launch = (
        f"{math.ceil(1.05 * 1000 * total_s / 2 / LAUNCHES)}ms"  # of two servers, so there is no time for the other
    )
    options = ("--tokgate-profile", "both", "--tokgate-require", "-rs")
    finished = project.perf(*options, "--tokgate-budget", one_launch)
    record = project.record()
    assert {one["server"] for one in record["measurements"]} == {"embedded-smollm2"}
    assert {one["server"] for one in record["verdicts"] if one["kind"] == "gate"} == {"embedded-smollm2"}
    assert [later["name"] for later in record["later"]] == ["second × brief"]
    assert record["not_checked"] == [gap for gap in record["not_checked"] if "second" not in gap]
    turn = "second × brief: the budget had no time for it; a later run measures it"
    assert turn in " ".join(finished.output.split())
    project.perf(*options, "--tokgate-budget", one_launch)
    record = project.record()
    assert {one["server"] for one in record["measurements"]} == {"second"}
    assert [later["name"] for later in record["later"]] == ["embedded-smollm2 × brief"]
    assert record["later"][0]["known"]["run"] == project.runs[0].name


@pytest.mark.long
def test_strict_fails_what_cannot_be_told(after_first: Any) -> None:
    project = after_first
    accept(project, 0.5, 2.0)  # so wide that nothing follows from two launches
    lenient = project.perf("--tokgate-profile", "brief")
    assert lenient.code == 0, lenient.output
    assert {one["outcome"] for one in project.record()["verdicts"]} == {"inconclusive"}
    strict = project.perf("--tokgate-profile", "brief", "--tokgate-strict")
    assert strict.code == 1, strict.output
    assert "3 failed, 2 passed" in strict.output


def test_nights_are_the_reference_without_a_baseline(after_first: Any) -> None:
    """Without a baseline, earlier nights are the reference."""
    project = after_first
    (first,) = project.runs
    record = json.loads((first / "run.json").read_bytes())
    for night in range(12):
        run_id = f"202601{night + 1:02}T000000Z-abcdef"
        started = f"2026-01-{night + 1:02}T00:00:00.000+00:00"
        (project.folder / "runs" / run_id).mkdir()
        copied = json.dumps(record | {"run_id": run_id, "started": started})
        (project.folder / "runs" / run_id / "run.json").write_text(copied)
    shutil.rmtree(first)
    finished = project.perf("--tokgate-profile", "brief")
    assert finished.code in (0, 1, 6), finished.output
    for verdict in project.record()["verdicts"]:
        assert verdict["outcome"] != "no_baseline"
        assert "the last 12 nights, 2026-01-01 to 2026-01-12" in verdict["reason"]
