"""`tokgate baseline accept`: good runs pass, others need a reason, which a terminal is asked for."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from tokgate.machine.fingerprint import Fingerprint
from tokgate.measure.measurement import Measurement
from tokgate.store.baselines import Baseline, read_baseline
from tokgate.store.runs import RunRecord, RunWriter


def write_run(folder: Path, measurement: Measurement, *speeds: float) -> None:
    """A run of server `s` with a launch at each of these speeds."""
    record = RunRecord(
        run_id="20260101T000000Z-abcdef",
        started="2026-01-01T00:00:00.000+00:00",
        ended="2026-01-01T01:00:00.000+00:00",
        tokgate="0",
        command=("pytest",),
        profile="mine",
        baselines="box",
        fingerprint=Fingerprint({}),
        conditions={"chat": {"requests": "4"}},
        measurements=tuple(
            msgspec.structs.replace(measurement, launch=at, gated={"decode_tps": speed})
            for at, speed in enumerate(speeds, start=1)
        ),
    )
    RunWriter(folder / "runs" / record.run_id, record)


def accept(folder: Path, *options: str, answer: str | None = None) -> tuple[int, str]:
    """The exit code and output. answer: what a person types; None without a terminal."""
    command = (str(Path(sys.executable).with_name("tokgate")), "baseline", "accept", "latest", *options)
    with ExitStack() as stack:
        stdin = subprocess.DEVNULL
        if answer is not None:
            terminal, stdin = pty.openpty()
            stack.callback(os.close, terminal)
            stack.callback(os.close, stdin)
            os.write(terminal, f"{answer}\n".encode())
        done = subprocess.run(
            command, cwd=folder, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
    return done.returncode, done.stdout


def stored(folder: Path) -> Baseline | None:
    return read_baseline(folder / "baselines" / "box" / "s.yaml")


def test_a_good_run_is_accepted_without_a_question(tmp_path: Path, bare_measurement: Measurement) -> None:
    write_run(tmp_path, bare_measurement, 10.0, 11.0)
    code, output = accept(tmp_path)
    assert code == 0, output
    accepted = stored(tmp_path)
    assert accepted is not None
    assert accepted.forced is None


def test_a_terminal_is_asked_for_a_reason(tmp_path: Path, bare_measurement: Measurement) -> None:
    """An empty answer accepts nothing; what speaks against the run is shown before."""
    write_run(tmp_path, bare_measurement, 10.0)
    code, output = accept(tmp_path, answer="")
    assert code == 3, output
    assert output.index("against it: chat has one launch") < output.index("Why should it be accepted")
    assert stored(tmp_path) is None
    code, output = accept(tmp_path, answer="the box leaves today")
    assert code == 0, output
    accepted = stored(tmp_path)
    assert accepted is not None
    assert accepted.forced == "the box leaves today"


@pytest.mark.parametrize(("options", "code"), [((), 3), (("--force",), 2), (("--reason", "x"), 3)])
def test_without_a_terminal_it_is_refused(
    tmp_path: Path, bare_measurement: Measurement, options: tuple[str, ...], code: int
) -> None:
    write_run(tmp_path, bare_measurement, 10.0)
    returned, output = accept(tmp_path, *options)
    assert returned == code, output
    assert stored(tmp_path) is None
    returned, output = accept(tmp_path, "--force", "--reason", "the box leaves today")
    assert returned == 0, output
