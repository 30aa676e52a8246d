"""What a person sees while the suite runs: a bar on a terminal, lines in a pipe; pytest captures neither."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

pytest_plugins = "pytester"

STEP = """
    from threading import Event

    from tokgate.drive.load import Progress
    from tokgate.plugin.screen import make_observer, say
    from tokgate.suite.estimate import Estimates
    from tokgate.suite.observer import Step
    from tokgate.suite.time_left import TimeLeft

    def test_step(pytestconfig):
        time_left = TimeLeft(Estimates(cells=(), experiments={}), None, launches=1, blocks=1)
        observer = make_observer(pytestconfig, time_left)
        with observer.during(Step(server="s", workload="chat", launch=1, of=5)) as watch:
            watch("timed", Progress(completed=2, total=8, arrivals=50, elapsed_s=2.0))
            Event().wait(0.5)  # the bar is drawn ten times a second
        say(pytestconfig, "one line")
"""


def run(pytester: pytest.Pytester, stdout: int) -> subprocess.Popen[str]:
    pytester.makepyfile(STEP)
    command = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest")
    environment = {**os.environ, "TERM": "xterm"}
    return subprocess.Popen(
        command, cwd=pytester.path, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stdout, text=True, env=environment
    )


def read_all(terminal: int) -> str:
    """Everything until the other side is closed."""
    parts: list[bytes] = []
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # how Linux ends a terminal without a process
            part = b""
        if not part:
            return b"".join(parts).decode()
        parts.append(part)


def test_a_terminal_shows_a_bar(pytester: pytest.Pytester) -> None:
    terminal, process_side = pty.openpty()
    with run(pytester, process_side) as process:
        os.close(process_side)
        screen = read_all(terminal)
    os.close(terminal)
    assert process.returncode == 0, screen
    assert "s × chat, launch 1/5 · timed" in screen
    assert "2/8" in screen
    assert "tokgate: one line" in screen


def test_a_pipe_gets_lines(pytester: pytest.Pytester) -> None:
    """Each on a line of its own, and no bar."""
    with run(pytester, subprocess.PIPE) as process:
        output, _ = process.communicate()
    assert process.returncode == 0, output
    assert "tokgate: one line" in output.splitlines()
    assert "launch 1/5" not in output, "a short step prints nothing"
