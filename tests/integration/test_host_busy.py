"""A real program that burns CPU beside the measurement is seen, named, and makes it invalid."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tokgate.config.catalogue import Catalogue
from tokgate.config.quiet import QuietLimits
from tokgate.config.workload import Closed, Workload
from tokgate.drive.load import Progress
from tokgate.drive.truth.process import start_truth_server
from tokgate.drive.truth.scenario import Scenario
from tokgate.launch.start import start
from tokgate.machine.monitor import Monitor
from tokgate.measure.quiet import check_host
from tokgate.suite.case import measure_case
from tokgate.suite.instruments import Instruments
from tokgate.suite.plan import Case, make_attached_spec


@pytest.fixture
def burners(tmp_path: Path) -> Iterator[set[int]]:
    """Two processes of a program of its own name, neither of them our child."""
    shell = shutil.which("sh")
    assert shell is not None
    program = tmp_path / "tg-burner"
    program.symlink_to(shell)
    # The shell that starts them ends, and they pass to the system's first process.
    script = '"$0" -c "while :; do :; done" >&- 2>&- & echo $!'
    pids = {
        int(subprocess.run([shell, "-c", script, program], stdout=subprocess.PIPE, check=True).stdout) for _ in range(2)
    }
    yield pids
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def test_burner_beside_the_measurement_is_named(burners: set[int]) -> None:
    with Monitor(server_pids=(), interval_s=0.5) as monitor:
        time.sleep(2)
    busy = [problem for problem in check_host(monitor.report, QuietLimits()) if problem.rule == "host_busy"]
    assert len(busy) == 1, monitor.report
    assert "most of it by tg-burner" in busy[0].detail
    assert monitor.report.culprit is not None
    assert monitor.report.culprit.pid in burners
    assert monitor.report.culprit.processes == 2


def test_burner_of_the_server_is_its_own_work(burners: set[int]) -> None:
    with Monitor(server_pids=burners, interval_s=0.5) as monitor:
        time.sleep(2)
    culprit = monitor.report.culprit
    assert culprit is None or culprit.pid not in burners
    assert "others_cores" not in monitor.report.unknown


def test_disturbed_pass_is_repeated(catalogue: Catalogue, tmp_path: Path) -> None:
    """A disturbed pass is repeated when the other program has ended."""
    shell = shutil.which("sh")
    assert shell is not None
    program = tmp_path / "tg-burner"
    program.symlink_to(shell)
    stages: list[str] = []

    def burn_beside_the_first(stage: str, progress: Progress) -> None:
        if stage == "timed" and "timed" not in stages:
            # Two of them, for a second and a half, and none of them our child.
            burner = "i=0; while :; do :; done"
            script = f'for i in 1 2; do timeout 1.5 "$0" -c "{burner}" >&- 2>&- & done'
            subprocess.run([shell, "-c", script, program], check=True)
        stages.append(stage)

    workload = Workload(
        name="brief",
        description="",
        prompts="short-chat",
        requests=2,
        max_tokens=50,
        load=Closed(concurrency=1),
    )
    with start_truth_server() as truth_server:
        truth_server.serve(Scenario(ttft_s=0.02, itl_s=0.02))
        spec = make_attached_spec(truth_server.url, "reference")
        cell = Case(server=spec, workload=workload, prompts=catalogue.prompts("short-chat"))
        with start(spec, log_dir=tmp_path) as server:
            measured = measure_case(server, cell, Instruments(), launch=1, watch=burn_beside_the_first)
    assert any("tg-burner" in problem.detail for problem in measured.disturbed), measured.disturbed
    assert not any("tg-burner" in problem.detail for problem in measured.problems), measured.problems
    assert len(measured.samples) == workload.requests
