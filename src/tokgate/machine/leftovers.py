"""Runs that outlived what started them: a cancelled job's pytest that did not end with it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil

PATIENCE_S = 20.0
"""What a run may take to end its server after SIGINT, before it is killed."""


def end_runs(folder: Path) -> tuple[str, ...]:
    """End every `pytest -m perf` whose working folder is `folder`, but this process's own family.

    SIGINT first, as Ctrl-C, so that it ends its server and keeps its record. Returns what was ended, in words.
    """
    family = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    runs = [one for one in psutil.process_iter() if one.pid not in family and _is_run(one, folder.resolve())]
    told = tuple(f"pid {one.pid}: {' '.join(one.cmdline())}" for one in runs)
    for one in runs:
        one.send_signal(signal.SIGINT)
    _, alive = psutil.wait_procs(runs, timeout=PATIENCE_S)
    for one in alive:
        one.kill()
    psutil.wait_procs(alive, timeout=PATIENCE_S)
    return told


def _is_run(process: psutil.Process, folder: Path) -> bool:
    try:
        command = process.cmdline()
        if Path(process.cwd()) != folder:
            return False
    except psutil.Error:  # it has ended, or is another user's
        return False
    # By its arguments alone: the shell that is to start one, or an editor of this text, is none.
    return any(Path(one).name == "pytest" for one in command) and "perf" in command
