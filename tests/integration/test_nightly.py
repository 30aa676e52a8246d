"""ci/nightly.sh as a runner calls it: its report and exit codes, and what a cancel or a kill leaves behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from docker import DockerClient

ROOT = Path(__file__).parents[2]
BROKEN, NOTHING, INTERRUPTED = 6, 5, 2


class Night:
    """A checkout with the scripts of ci/, whose .venv is the one that runs the tests."""

    def __init__(self, project: Any) -> None:
        self.project, self.folder = project, project.folder
        shutil.copytree(ROOT / "ci", self.folder / "ci", ignore=shutil.ignore_patterns("bench"))
        (self.folder / ".venv").mkdir()
        (self.folder / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
        for stamp in (ROOT / ".venv").glob(".tokgate-*"):  # installed already
            (self.folder / ".venv" / stamp.name).touch()
        (self.folder / ".venv" / ".tokgate-embedded").touch()

    @contextmanager
    def script(self, name: str, *args: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
        """ci/NAME, running; killed at the end if it still is."""
        process = subprocess.Popen(
            (self.folder / "ci" / name, *args),
            cwd="/",
            env=os.environ | {"TOKGATE_RUNS": str(self.folder / "runs")} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def run(self, name: str, *args: str, **environment: str) -> tuple[int, str]:
        with self.script(name, *args, **environment) as process:
            output, _ = process.communicate(timeout=120)
            return process.returncode, output

    @property
    def report(self) -> str:
        text: str = (self.folder / "report" / "report.md").read_text()
        return text


@pytest.fixture
def night(project: Any) -> Night:
    return Night(project)


def test_night_leaves_a_report(night: Night) -> None:
    """A night leaves a report and passes its arguments on to pytest."""
    code, output = night.run("nightly.sh", "--tokgate-profile", "brief")
    assert code in (0, BROKEN), output  # BROKEN: this host was not quiet
    assert night.report.startswith("<!-- tokgate: undecided" if code == 0 else "<!-- tokgate: broken")
    record = json.loads((night.folder / "report" / "run.json").read_text())
    assert record["profile"] == "brief"
    assert record["run_id"] in (night.folder / "report" / "report.html").read_text()
    assert "Report: report/report.html" in output


def test_a_night_that_can_measure_nothing_says_so(night: Night) -> None:
    hardware = "description: of a test\nhardware: mi300x\n"
    profile = night.folder / "fixtures" / "profiles" / "elsewhere.yaml"
    profile.write_text(hardware + "cells:\n  - servers: [embedded-smollm2]\n    workloads: [brief]\n")
    code, output = night.run("nightly.sh", "--tokgate-profile", "elsewhere")
    assert code == NOTHING, output
    assert night.report.startswith("<!-- tokgate: empty -->\n## Nothing was measured.")
    assert "this machine has no mi300x" in night.report


def test_wrong_options_leave_no_old_report(night: Night) -> None:
    """Wrong options leave no report of an earlier night."""
    (night.folder / "report").symlink_to(night.folder)
    code, output = night.run("nightly.sh", "--tokgate-profile", "embeded")
    assert code == 4
    assert "embedded" in output
    assert not (night.folder / "report").exists()


def test_a_set_up_that_fails_is_no_regression(night: Night) -> None:
    venv = night.folder / ".venv"
    for entry in venv.iterdir():
        entry.unlink()
    (venv / "bin").mkdir()
    python = venv / "bin" / "python"
    python.write_text("#!/bin/sh\necho no package index answers >&2\nexit 1\n")
    python.chmod(0o755)
    code, output = night.run("nightly.sh", "--tokgate-profile", "brief")
    assert (code, "no package index answers" in output) == (BROKEN, True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda n: n.name)
def test_ended_night_leaves_nothing_behind(
    night: Night, docker_engine: DockerClient, free_port: int, number: signal.Signals
) -> None:
    """A night that is ended leaves nothing behind."""

    def ours() -> list[Any]:
        found = docker_engine.containers.list(all=True, filters={"label": "tokgate=1"}, ignore_removed=True)
        return [one for one in found if f'"pid":{process.pid},' in one.labels.get("tokgate.owner", "")]

    container = night.folder / "fixtures" / "servers" / "llamacpp-cpu.yaml"
    container.write_text(container.read_text().replace("port: 18091", f"port: {free_port}"))
    night.project.workload("long", requests=4, max_tokens=3000)
    night.project.profile("long", "llamacpp-cpu", "brief", "long", launches=1)
    with night.script("nightly.sh", "--tokgate-profile", "long") as process:
        runs = night.project
        in_the_middle(runs, process)
        assert len(ours()) == 1
        process.send_signal(number)
        output, _ = process.communicate(timeout=60)
        if number is signal.SIGKILL:
            deadline = time.perf_counter() + 60
            while ours():  # the guardian removes it
                assert time.perf_counter() < deadline, "the container outlived its run"
                time.sleep(0.1)
            assert not (night.folder / "report").exists()
        else:
            assert process.returncode == INTERRUPTED, output
            assert ours() == []
            assert night.report.startswith("<!-- tokgate: broken -->\n## The run was cut off after 1 measurement.")
        code, output = night.run("nightly.sh", "--tokgate-profile", "brief", "-k", "measure")
        assert code in (0, BROKEN), output  # the lease is free
        assert ours() == []
        assert not runs_below(night.folder)


KILLED = {
    "planning": "1 open profiles/brief.yaml",
    "its first record, half written": "1 os.rename run.json",
    "the server's start": "1 urllib.Request /health",
    "the drive": "2 open '/proc/swaps'",
    "the verdicts, half written": "3 os.rename run.json",
    "the report, half written": "1 os.rename report.html",
}
"""By phase, what a run of one launch does in it and never before. Warm-up: `in_the_middle`, elsewhere."""


@pytest.mark.long
def test_killed_night_costs_the_next_ones_nothing(night: Night) -> None:
    """A night killed in any phase costs the next ones nothing."""
    args = ("--tokgate-profile", "brief", "--tokgate-launches", "1")
    here = {"PYTHONPATH": str(Path(__file__).parent)}
    for phase, event in KILLED.items():
        code, output = night.run("nightly.sh", *args, "-p", "kill_at", **here, KILL_AT=event)
        assert code == -signal.SIGKILL, f"{phase}: {output}"
        assert not runs_below(night.folder), f"{phase}: a server was left"
        assert not (night.folder / "report").exists(), phase
    written = [json.loads((run / "run.json").read_bytes()) for run in night.project.runs]
    assert [len(one["measurements"]) for one in written] == [0, 0, 1, 1]
    assert [(len(one["verdicts"]), one["ended"] is not None) for one in written[2:]] == [
        (0, False),
        (3, True),
    ]

    with night.script("nightly.sh", *args) as one, night.script("nightly.sh", *args) as two:
        said = [process.communicate(timeout=120)[0] for process in (one, two)]
        assert {one.returncode, two.returncode} <= {0, BROKEN}, said
    first, second = (json.loads((run / "run.json").read_bytes()) for run in night.project.runs[-2:])
    assert first["ended"] < second["measurements"][0]["started"], "never two at once"
    assert json.loads((night.folder / "report" / "run.json").read_bytes()) in (first, second)
    assert "cannot be read" not in night.report
    history = night.project.tokgate("history", "--metric", "decode_tps")
    assert (history.code, "left out" in history.output) == (0, False), "a cut record is whole as far as it goes"
    shown = night.project.tokgate("report", "--latest")
    assert (shown.code, f"run {second['run_id']}" in shown.output) == (0, True), shown.output


def test_cleanup_ends_only_runs_of_this_checkout(
    night: Night,
    make_project: Callable[[Path], Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Cleanup ends the runs of this checkout and no others."""
    night.project.workload("long", requests=4, max_tokens=3000)
    night.project.profile("long", "embedded-smollm2", "brief", "long", launches=1)
    # Another checkout's run waits for the lease that the first one holds.
    other = make_project(tmp_path_factory.mktemp("other"))
    with night.script("nightly.sh", "--tokgate-profile", "long") as left:
        in_the_middle(night.project, left)
        waiting = other.start("--tokgate-profile", "brief", "-k", "measure", "--tokgate-launches", "1")
        try:
            code, output = night.run("cleanup.sh")
            assert code == 0
            assert f"ended pid {left.pid}: " in output
            assert left.wait(timeout=10) == INTERRUPTED
            assert not runs_below(night.folder)
            code, output = night.run("cleanup.sh")
            assert code == 0, "nothing to do is no failure"
            assert all(line.startswith("left alone: ") for line in output.splitlines()), output
            said, _ = waiting.communicate(timeout=60)
            assert waiting.returncode in (0, BROKEN), said
        finally:
            other.close()


def in_the_middle(project: Any, process: subprocess.Popen[str]) -> None:
    """Wait until `brief` is on disk and `long` runs. Another suite of this machine may have to end first."""
    deadline = time.perf_counter() + 200
    while not (project.runs and project.record()["measurements"]):
        assert process.poll() is None, process.communicate()[0]
        assert time.perf_counter() < deadline, "it measured nothing"
        time.sleep(0.1)


def runs_below(folder: Path) -> list[psutil.Process]:
    """Every process that works below `folder`: a run, or a server it started."""
    time.sleep(0.2)
    found = []
    for one in psutil.process_iter():
        try:
            if Path(one.cwd()).is_relative_to(folder) and one.status() != psutil.STATUS_ZOMBIE:
                found.append(one)
        except psutil.Error:
            continue
    return found
