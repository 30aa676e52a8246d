"""The process that started a container, as a label on it, so that a later run can tell whether it is orphaned."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import msgspec

from tokgate.machine.processes import read_process


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """A process, unique by its start (clock ticks since boot), because pids are reused."""

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
        """Whether it has certainly ended; False for a process on another host or in another pid namespace."""
        here = Owner.current()
        if self.host != here.host:
            return False
        if self.boot != here.boot:
            return True
        return self.pid_namespace == here.pid_namespace and _started(self.pid) != self.started


def _started(pid: int) -> int | None:
    """When process `pid` started (clock ticks since boot); None when it has ended, also when it is a zombie."""
    process = read_process(pid)
    return None if process is None or process.state in "ZX" else process.started
