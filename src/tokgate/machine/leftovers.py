"""What ended runs have left on this machine: which of it may be ended, and ending it.

Only what is provably left over and belongs to this user and folder is touched: a run by the file in its folder, a
server by what is written in its environment, both with pid and start. Everything else is listed with the reason.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import psutil

from tokgate.config.bounds import PAGE_BYTES
from tokgate.config.reading import read_file
from tokgate.machine.owner import Owner, read_owner
from tokgate.machine.processes import read_processes, read_program, signal_process
from tokgate.machine.sysfs import ROOT

OWNER_FILE = "owner.json"
"""In the folder of a run: the process that it is."""
OWNER_VARIABLE = "TOKGATE_OWNER"
"""In the environment of an embedded server: the run that started it."""
PATIENCE_S = 20.0
"""Seconds a run has to end its server after SIGINT, before it is killed."""
_POLL_S = 0.1


class Leftovers(msgspec.Struct):
    """ended: what was ended or removed, one line each. left: what was left alone, each with the reason."""

    ended: list[str] = []
    left: list[str] = []


def judge(owner: Owner | None) -> str | None:
    """Why that which this process started must be left alone; None when it is left over, and ours to end."""
    if owner is None:
        return "it does not say who started it"
    if owner.is_alive():
        return f"its run is alive: {owner}"
    if not owner.is_gone():
        return f"whether its run still lives cannot be seen from here: {owner}"
    if not owner.is_ours():
        return f"another user or folder has to remove it: {owner}"
    return None


def end_runs(runs: Path) -> Leftovers:
    """End the runs that this user started in this folder and that still live, except this process and its parents.

    runs: the folder of their folders. SIGINT first, like Ctrl-C, so that a run ends its server and keeps its record.
    """
    leftovers, family = Leftovers(), {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    owners = {owner.pid: owner for owner in _read_owners(runs) if owner.is_alive() and owner.pid not in family}
    alive = []
    for owner in owners.values():
        line = f"pid {owner.pid}: {read_program(owner.pid)}"
        if not owner.is_ours():
            leftovers.left.append(f"{line}: another user or folder has to end it: {owner}")
        elif signal_process(owner.pid, signal.SIGINT, started=owner.started):
            alive.append(owner)
            leftovers.ended.append(line)
    deadline = time.monotonic() + PATIENCE_S
    while alive and time.monotonic() < deadline:
        time.sleep(_POLL_S)
        alive = [owner for owner in alive if owner.is_alive()]
    for owner in alive:
        signal_process(owner.pid, signal.SIGKILL, started=owner.started)
    return leftovers


def end_servers() -> Leftovers:
    """End the embedded servers of this user and folder whose run has ended, and list those of others."""
    leftovers = Leftovers()
    for process in read_processes().values():
        if (text := _read_owner_variable(process.pid)) is None:
            continue
        what = f"server pid {process.pid}"
        if why := judge(read_owner(text)):
            leftovers.left.append(f"{what}: {why}")
        elif signal_process(process.pid, signal.SIGKILL, started=process.started):
            leftovers.ended.append(what)
    return leftovers


def _read_owners(runs: Path) -> Iterator[Owner]:
    """The processes of all runs, also of those on several boxes, whose folders are inside another's."""
    for file in (*runs.glob(f"*/{OWNER_FILE}"), *runs.glob(f"*/*/{OWNER_FILE}")):
        with suppress(OSError):
            # In a folder that several users write to, a file of somebody else says nothing about our processes.
            if file.stat().st_uid == os.getuid() and (owner := read_owner(read_file(file, PAGE_BYTES))) is not None:
                yield owner


def _read_owner_variable(pid: int, root: Path = ROOT) -> str | None:
    """What a process was started with; None when it has no such variable, or is another user's."""
    try:
        variables = (root / f"proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return None
    key = f"{OWNER_VARIABLE}=".encode()
    return next((text[len(key) :].decode(errors="replace") for text in variables if text.startswith(key)), None)
