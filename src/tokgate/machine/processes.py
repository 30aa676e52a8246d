"""CPU time of processes and families of processes from /proc, and which process listens on a port.

/proc is read directly, because psutil takes several times as long per process, and the monitor runs during a
measurement.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from tokgate.machine.sysfs import ROOT, parse_int, read_text

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
"""Seconds of one clock tick, in which the kernel counts CPU time."""


class Process(NamedTuple):
    """One process at one moment.

    state: the kernel's letter for it; Z and X are processes that have ended.
    started: its start in clock ticks since boot; together with the pid it is unique.
    cpu_s: CPU seconds of all its threads.
    reaped_s: CPU seconds of its children that have ended.
    """

    pid: int
    state: str
    parent: int
    started: int
    name: str
    cpu_s: float
    reaped_s: float


def read_process(pid: int, root: Path = ROOT) -> Process | None:
    """One process; None when it has ended, or this user cannot see it."""
    try:
        with open(f"{root}/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - Path costs more than the read
            stat = file.read()
    except OSError:
        return None
    name_end = stat.rfind(b")")  # the name itself may contain anything
    fields = stat[name_end + 2 :].split()
    try:
        utime, stime, reaped_utime, reaped_stime = map(int, fields[11:15])
        return Process(
            pid=pid,
            state=fields[0].decode(),
            parent=int(fields[1]),
            started=int(fields[19]),
            name=stat[stat.find(b"(") + 1 : name_end].decode(errors="replace"),
            cpu_s=(utime + stime) * TICK_S,
            reaped_s=(reaped_utime + reaped_stime) * TICK_S,
        )
    except (ValueError, IndexError):  # not what a kernel writes
        return None


def read_processes(root: Path = ROOT) -> dict[int, Process]:
    """All processes that can be seen, by pid."""
    try:
        pids = [int(name) for name in os.listdir(root / "proc") if name.isdigit()]  # noqa: PTH208 - as above
    except OSError:
        return {}
    return {pid: process for pid in pids if (process := read_process(pid, root)) is not None}


def find_family(processes: Mapping[int, Process], heads: Iterable[int]) -> set[int]:
    """Pids of `heads` and all their descendants that are alive."""
    children: dict[int, list[int]] = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process.pid)
    members: set[int] = set()
    waiting = [pid for pid in heads if pid in processes]
    while waiting:
        pid = waiting.pop()
        if pid not in members:
            members.add(pid)
            waiting += children.get(pid, [])
    return members


def sum_cpu_s(members: Iterable[Process]) -> float:
    """CPU seconds that a family has used, including members that have ended."""
    return sum(process.cpu_s + process.reaped_s for process in members)


def signal_process(pid: int, number: signal.Signals, *, started: int) -> bool:
    """Send a signal to exactly the process that has this pid and this start; returns whether it was there.

    Raises PermissionError when it is another user's.
    """
    try:
        file = os.pidfd_open(pid)  # from here on, the pid cannot come to mean another process
    except ProcessLookupError:
        return False
    try:
        process = read_process(pid)
        if process is None or process.started != started or process.state in "ZX":
            return False
        signal.pidfd_send_signal(file, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(file)
    return True


def read_family_cpu_s(heads: Iterable[int], root: Path = ROOT) -> float | None:
    """CPU seconds used so far by `heads` and all their descendants; None when a head cannot be seen, or there is none."""
    heads, processes = tuple(heads), read_processes(root)
    if not heads or not processes.keys() >= set(heads):
        return None
    return sum_cpu_s(processes[pid] for pid in sorted(find_family(processes, heads)))


def are_stopped(heads: Iterable[int], root: Path = ROOT) -> bool:
    """Whether every thread of `heads` and of all their descendants is stopped, as SIGSTOP leaves them.

    A process is shown in the state of its first thread, and the others may stop a moment later.
    """
    family = find_family(read_processes(root), heads)
    threads = [stat for pid in family for stat in (root / "proc" / str(pid) / "task").glob("*/stat")]
    states = [(read_text(stat) or "").rpartition(")")[2].split()[:1] for stat in threads]
    return bool(states) and all(state == ["T"] for state in states)


def read_program(pid: int, root: Path = ROOT) -> str | None:
    """Its program and first argument, `python train.py`; not the others, which may hold keys."""
    words = (read_text(root / f"proc/{pid}/cmdline") or "").split("\0")[:2]
    return " ".join([Path(words[0]).name, *words[1:]])[:80] if words[0] else None


def find_listeners(port: int, root: Path = ROOT) -> tuple[int, ...] | None:
    """Processes that listen on this TCP port; empty when none does.

    None when one listens that this user cannot see, such as another user's.
    """
    inodes = {inode for table in ("tcp", "tcp6") for inode in _listeners(root / "proc/net" / table, port)}
    if not inodes:
        return ()
    wanted = {f"socket:[{inode}]" for inode in inodes}
    pids = []
    for folder in (root / "proc").glob("[0-9]*/fd"):
        pid = int(folder.parent.name)
        if wanted & read_open_files(pid, root):
            pids.append(pid)
    return tuple(sorted(pids)) or None


def read_open_files(pid: int, root: Path = ROOT) -> set[str]:
    """The files, devices and sockets that a process holds open, as the kernel names them; empty for another user's."""
    with suppress(OSError):
        return {target for link in (root / f"proc/{pid}/fd").iterdir() if (target := _target(link))}
    return set()


def _listeners(table: Path, port: int) -> list[str]:
    rows = [line.split() for line in (read_text(table) or "").splitlines()[1:]]
    listening = "0A"
    rows = [row for row in rows if len(row) > 9]
    return [row[9] for row in rows if row[3] == listening and parse_int(row[1].rpartition(":")[2], base=16) == port]


def _target(link: Path) -> str | None:
    try:
        return os.readlink(link)  # noqa: PTH115 - not a path
    except OSError:
        return None
