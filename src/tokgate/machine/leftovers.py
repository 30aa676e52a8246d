"""Runs that outlived the job that started them: a pytest that did not end when its job was canceled."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil

PATIENCE_S = 20.0
"""Seconds a run has to end its server after SIGINT, before it is killed."""


def end_runs(folder: Path) -> tuple[str, ...]:
    """End every `pytest -m perf` whose working folder is `folder`, except this process and its parents.

    SIGINT first, like Ctrl-C, so that a run ends its server and keeps its record. Returns what it ended, one line each.
    """
    family = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    runs = [
        process for process in psutil.process_iter() if process.pid not in family and _is_run(process, folder.resolve())
    ]
    lines = tuple(f"pid {run.pid}: {' '.join(run.cmdline())}" for run in runs)
    for run in runs:
        run.send_signal(signal.SIGINT)
    _, alive = psutil.wait_procs(runs, timeout=PATIENCE_S)
    for run in alive:
        run.kill()
    psutil.wait_procs(alive, timeout=PATIENCE_S)
    return lines


def _is_run(process: psutil.Process, folder: Path) -> bool:
    try:
        command = process.cmdline()
        if Path(process.cwd()) != folder:
            return False
    except psutil.Error:  # it has ended, or belongs to another user
        return False
    # By whole arguments: a shell that will start a run, or an editor of this text, does not count.
    return any(Path(word).name == "pytest" for word in command) and "perf" in command
