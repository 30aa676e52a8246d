"""What `tokgate cleanup` ends, and what it leaves alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from tokgate.machine.leftovers import OWNER_VARIABLE
from tokgate.machine.owner import Owner
from tokgate.machine.processes import read_process

Eventually = Callable[[Callable[[], bool]], None]
FILE = "owner.json"


@contextmanager
def sleeper(folder: Path, *words: str, environment: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A process of ours that works in this folder and has these words on its command line."""
    command = (sys.executable, "-c", "import time; time.sleep(300)", *words)
    process = subprocess.Popen(command, cwd=folder, env=os.environ | (environment or {}))
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def owner_of(pid: int, folder: Path) -> Owner:
    """What a run with that pid would write about itself."""
    process = read_process(pid)
    assert process is not None
    return msgspec.structs.replace(Owner.current(), pid=pid, started=process.started, project=str(folder))


def write(run: Path, owner: Owner) -> None:
    run.mkdir(parents=True)
    (run / FILE).write_bytes(msgspec.json.encode(owner))


def test_only_a_run_is_ended(project: Any, tmp_path: Path) -> None:
    """An editor of a file of the suite is no run, and neither is whatever has the pid of a run that has ended."""
    runs = tmp_path / "runs"
    with (
        sleeper(tmp_path, "pytest", "-m", "perf", "tests/perf") as editor,
        sleeper(tmp_path, "pytest", "-m", "perf") as run,
        sleeper(tmp_path) as reuser,
        sleeper(tmp_path) as foreigner,
    ):
        write(runs / "1", owner_of(run.pid, tmp_path))
        before = owner_of(reuser.pid, tmp_path)
        write(runs / "2", msgspec.structs.replace(before, started=before.started - 1))
        write(runs / "3", msgspec.structs.replace(owner_of(foreigner.pid, tmp_path), uid=os.getuid() + 1))
        (runs / "4").mkdir()
        (runs / "4" / FILE).write_text("{")
        write(runs / "5", owner_of(os.getpid(), tmp_path))  # it started the command: a job that cleans up itself
        finished = project.tokgate("cleanup")
        assert finished.code == 0
        assert run.wait(30) == -signal.SIGINT
        assert [process.poll() for process in (editor, reuser, foreigner)] == [None, None, None]
    lines = finished.output.splitlines()
    assert [line for line in lines if line.startswith("ended")] == [
        f"ended pid {run.pid}: {Path(sys.executable).name} -c"
    ]
    (line,) = (line for line in lines if f"pid {foreigner.pid}" in line)
    assert "left alone: " in line
    assert "another user or folder has to end it" in line
    assert str(editor.pid) not in finished.output
    assert str(reuser.pid) not in finished.output


def test_run_that_does_not_end_is_killed(
    eventually: Eventually, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tokgate.machine import leftovers

    monkeypatch.setattr(leftovers, "PATIENCE_S", 0.5)
    monkeypatch.chdir(tmp_path)
    with sleeper(tmp_path) as run:
        run.send_signal(signal.SIGSTOP)  # it hears nothing but SIGKILL, once it has stopped
        eventually(lambda: psutil.Process(run.pid).status() == psutil.STATUS_STOPPED)
        write(tmp_path / "runs" / "1", owner_of(run.pid, tmp_path))
        assert len(leftovers.end_runs(Path("runs")).ended) == 1
        assert run.wait(30) == -signal.SIGKILL


def test_runs_of_another_folder(project: Any, tmp_path: Path) -> None:
    """--runs names the folder of the runs; a run of another checkout in it is left alone."""
    with sleeper(tmp_path) as ours, sleeper(tmp_path) as theirs:
        write(tmp_path / "shared" / "1", owner_of(ours.pid, tmp_path))
        write(tmp_path / "shared" / "2" / "2-box", owner_of(theirs.pid, tmp_path / "elsewhere"))
        assert f"pid {ours.pid}" not in project.tokgate("cleanup").output
        finished = project.tokgate("cleanup", "--runs", "shared")
        assert ours.wait(30) == -signal.SIGINT
        assert theirs.poll() is None
    assert f"left alone: pid {theirs.pid}: " in finished.output


def test_servers_of_killed_runs(project: Any, tmp_path: Path) -> None:
    """A server whose run has ended is ended, also a stopped one; that of a live or foreign run is not."""
    with sleeper(tmp_path) as ended:
        gone = owner_of(ended.pid, tmp_path)
    owners = {
        "orphan": gone,
        "live": owner_of(os.getpid(), tmp_path),
        "other user": msgspec.structs.replace(gone, uid=os.getuid() + 1),
        "other folder": msgspec.structs.replace(gone, project="/elsewhere"),
        "other machine": msgspec.structs.replace(gone, host="elsewhere"),
    }
    variables = {name: {OWNER_VARIABLE: json.dumps(msgspec.to_builtins(owner))} for name, owner in owners.items()}
    with (
        sleeper(tmp_path, environment=variables["orphan"]) as orphan,
        sleeper(tmp_path, environment=variables["live"]) as live,
        sleeper(tmp_path, environment=variables["other user"]) as user,
        sleeper(tmp_path, environment=variables["other folder"]) as folder,
        sleeper(tmp_path, environment=variables["other machine"]) as machine,
    ):
        os.kill(orphan.pid, signal.SIGSTOP)
        finished = project.tokgate("cleanup")
        assert orphan.wait(30) == -signal.SIGKILL
        assert f"ended server pid {orphan.pid}\n" in finished.output
        for process, why in (
            (live, "its run is alive"),
            (user, "another user or folder has to remove it"),
            (folder, "another user or folder has to remove it"),
            (machine, "whether its run still lives cannot be seen from here"),
        ):
            assert process.poll() is None
            assert f"left alone: server pid {process.pid}: {why}: pid " in finished.output


def test_interrupted_run_is_known(project: Any, eventually: Eventually, tmp_path: Path) -> None:
    """A real run is ended like by Ctrl-C, and nothing of it is left."""
    project.workload("long", requests=4, max_tokens=3000)
    project.profile("long", "embedded-smollm2", "long", launches=1)
    run = project.start("--tokgate-profile", "long", stdout=subprocess.DEVNULL)
    eventually(lambda: bool(list(tmp_path.glob(f"runs/*/{FILE}"))))  # also while it waits for the machine
    finished = project.tokgate("cleanup")
    assert f"ended pid {run.pid}: " in finished.output
    # Before pytest's session begins, Python itself ends by the signal.
    assert run.wait(30) in (pytest.ExitCode.INTERRUPTED, -signal.SIGINT)
    eventually(lambda: not [one for one in psutil.process_iter(["cwd"]) if one.info["cwd"] == str(tmp_path)])
    assert "ended pid" not in project.tokgate("cleanup").output
