"""`--tokgate-against` on real servers: two that are alive together, work in turns, and are compared in one run."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psutil
import pytest

IMAGE = "tokgate/llama-cpu"
SHORT = ("--tokgate-budget", "25s")
"""Time for a few launch pairs, where the verdict does not matter."""


def test_two_embedded_servers(project: Any, other: str) -> None:
    """Every gated metric gets a verdict from launch pairs; both servers are on record, and neither in the history."""
    done = project.perf("--tokgate-profile", "brief", "--tokgate-against", other, *SHORT)
    record = project.record()
    verdicts = project.verdicts()
    assert [verdict["metric"] for verdict in verdicts] == ["decode_tps", "prefill_tps", "ttft_s"], done.output
    assert done.code in (0, 1), done.output
    for verdict in verdicts:
        assert verdict["design"] == "duet"
        assert verdict["launches"] >= 1
        assert verdict["baseline"] > 0
        assert "what differs: args" in verdict["notes"][0]
    measurements = record["measurements"]
    assert {run["server"] for run in measurements} == {"embedded-smollm2/candidate", "embedded-smollm2/other"}
    for run in measurements:
        assert len(run["rounds"]["decode_tps"]) >= 3
        assert len(run["samples"]) >= len(run["rounds"]["decode_tps"])
    assert "against other, at most" in done.output
    assert "launch pair" in done.output
    history = project.tokgate("history")
    assert "embedded-smollm2" not in history.output
    accepted = project.tokgate("baseline", "accept", "latest", "--force", "--reason", "try")
    assert accepted.code != 0, accepted.output


def test_what_is_the_same_is_not_measured(project: Any) -> None:
    servers = project.folder / "fixtures" / "servers"
    (servers / "twin.yaml").write_text((servers / "embedded-smollm2.yaml").read_text())
    done = project.perf("--tokgate-profile", "brief", "--tokgate-against", "twin")
    assert done.code == 5, done.output
    assert "embedded-smollm2 and twin are the same" in done.output
    assert project.record()["measurements"] == []
    required = project.perf("--tokgate-profile", "brief", "--tokgate-against", "twin", "--tokgate-require")
    assert required.code == 6, required.output


@pytest.mark.usefixtures("docker_engine")
def test_an_image_that_is_missing(project: Any) -> None:
    project.profile("container", "llamacpp-cpu", "brief", launches=2)
    done = project.perf("--tokgate-profile", "container", "--tokgate-against", "tokgate-test/nowhere:1")
    assert done.code == 6, done.output
    assert {verdict["outcome"] for verdict in project.verdicts()} == {"invalid"}
    assert "image tokgate-test/nowhere:1 is not on this machine" in done.output


def _find_arms(pid: int) -> list[psutil.Process]:
    """The embedded servers of a run that are alive, oldest first."""
    arms = []
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(pid).children(recursive=True):
            with suppress(psutil.Error):
                if "tokgate.launch.llama_server" in child.cmdline():
                    arms.append(child)
    return sorted(arms, key=lambda child: child.create_time())


def _wait_for_duet(process: subprocess.Popen[str], eventually: Callable[[Callable[[], bool]], None]) -> None:
    """Until one of two arms is stopped while the other works."""

    def works_in_turns() -> bool:
        assert process.poll() is None
        states = []
        with suppress(psutil.Error):
            states = [arm.status() for arm in _find_arms(process.pid)]
        return len(states) == 2 and psutil.STATUS_STOPPED in states

    eventually(works_in_turns)


@pytest.mark.long
def test_an_arm_that_dies(project: Any, other: str, eventually: Callable[[Callable[[], bool]], None]) -> None:
    """Its cells are invalid, and the reason names it. Before the first launch pair it would be tried alone."""
    process = project.start("--tokgate-profile", "brief", "--tokgate-against", other)
    eventually(lambda: bool(project.runs) and len(project.record()["measurements"]) >= 2)
    _wait_for_duet(process, eventually)
    _find_arms(process.pid)[0].kill()
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 6, output
    assert {verdict["outcome"] for verdict in project.verdicts()} == {"invalid"}


@pytest.mark.long
def test_an_arm_that_is_woken_up(project: Any, other: str, eventually: Callable[[Callable[[], bool]], None]) -> None:
    """What something else lets go on is not idle."""
    process = project.start("--tokgate-profile", "brief", "--tokgate-against", other)
    eventually(lambda: bool(project.runs) and len(project.record()["measurements"]) >= 2)
    _wait_for_duet(process, eventually)
    for arm in _find_arms(process.pid):
        with suppress(psutil.Error):
            if arm.status() == psutil.STATUS_STOPPED:
                arm.send_signal(signal.SIGCONT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 6, output
    assert "was frozen, and something has let it go on" in output


def test_nothing_stays_frozen_or_alive(
    project: Any, other: str, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    """After the end of a run that nothing can catch; other signals: test_guardian.py."""
    process = project.start("--tokgate-profile", "brief", "--tokgate-against", other)
    _wait_for_duet(process, eventually)
    arms = _find_arms(process.pid)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    eventually(lambda: not any(map(_is_alive, arms)))


def _is_alive(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def test_a_budget_below_one_launch_pair(project: Any, other: str) -> None:
    done = project.perf("--tokgate-profile", "brief", "--tokgate-against", other, "--tokgate-budget", "0.001s")
    assert done.code == 5, done.output
    assert "the budget was spent before its first launch pair" in done.output


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("nothing!", "expected an image, a server, a run, or LABEL=IMAGE,LABEL=IMAGE"),
        ("tokgate/llama-cpu:1", "embedded-smollm2 against llama-cpu:1: it is not a container, so it has no image"),
        ("embedded-smollm2", "It is the only server"),
    ],
)
def test_what_cannot_be_compared(project: Any, what: str, message: str) -> None:
    done = project.perf("--tokgate-profile", "brief", "--tokgate-against", what)
    assert done.code == 4, done.output
    assert message in done.output
