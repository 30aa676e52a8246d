"""Who started a container, written on the container, so that a later run can tell whether it is orphaned."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import msgspec


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """A process, told apart from every other: pids are reused, so its start (clock ticks since boot) counts too."""

    host: str
    boot: str
    pid_namespace: str
    pid: int
    started: int

    @classmethod
    def current(cls) -> Owner:
        """This process."""
        pid = os.getpid()
        started = _started(pid)
        assert started is not None
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = str(Path("/proc/self/ns/pid").readlink())
        return cls(host=platform.node(), boot=boot, pid_namespace=namespace, pid=pid, started=started)

    def is_gone(self) -> bool:
        """True only when it is certain: never of a process on another host or in a container of its own."""
        here = Owner.current()
        if self.host != here.host:
            return False
        if self.boot != here.boot:
            return True
        return self.pid_namespace == here.pid_namespace and _started(self.pid) != self.started


def _started(pid: int) -> int | None:
    """The start of process `pid`; None when there is none, or only its zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, *fields = stat.rpartition(")")[2].split()  # the name before it may hold spaces and brackets
    return None if state in "ZX" else int(fields[18])
