"""The process that started something, written down so that a later process can tell whether it still lives.

Containers carry it as a label, embedded servers in their environment, runs in a file of their folder.
"""

from __future__ import annotations

import os
import platform
import pwd
from hashlib import sha256
from pathlib import Path

import msgspec

from tokgate.config.reading import decode_json
from tokgate.machine.processes import read_process
from tokgate.machine.sysfs import ROOT, read_text


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """A process, unique by its start, because pids are reused; and whose it is.

    host, machine: name and hashed ID of its machine, since several machines may use one Docker daemon.
    boot: ID of the boot. pid_namespace: in which `pid` counts.
    started: clock ticks since boot.
    uid, project: its user, and the folder it was started in; None when an older version wrote this.
    """

    host: str
    machine: str = ""
    boot: str
    pid_namespace: str
    pid: int
    started: int
    uid: int | None = None
    project: str | None = None

    @classmethod
    def current(cls) -> Owner:
        """This process."""
        pid = os.getpid()
        process = read_process(pid)
        assert process is not None
        return cls(
            host=platform.node(),
            machine=_hash_machine_id(),
            boot=Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
            pid_namespace=str(Path("/proc/self/ns/pid").readlink()),
            pid=pid,
            started=process.started,
            uid=os.getuid(),
            project=str(Path.cwd()).encode(errors="replace").decode(),  # it may not be UTF-8
        )

    def is_alive(self) -> bool:
        """Whether it certainly runs: it can be seen from here, and is that very process."""
        here = Owner.current()
        same_place = (self.host, self.boot, self.pid_namespace) == (here.host, here.boot, here.pid_namespace)
        return same_place and _read_start(self.pid) == self.started

    def is_gone(self) -> bool:
        """Whether it has certainly ended; False when that cannot be seen from here.

        That is so on another machine and in another pid namespace, and where this user may not see its process.
        """
        here = Owner.current()
        if (self.host, self.machine) != (here.host, here.machine):
            return False
        if self.boot != here.boot:
            return True
        if self.pid_namespace != here.pid_namespace:
            return False
        started = _read_start(self.pid)
        return started != self.started if started is not None else not _exists(self.pid)

    def is_ours(self) -> bool:
        """Whether this user started it in this folder."""
        here = Owner.current()
        return (self.uid, self.project) == (here.uid, here.project)

    def __str__(self) -> str:
        user = "an unknown user" if self.uid is None else _name(self.uid)
        return f"pid {self.pid} of {user} on {self.host}, started in {self.project or 'an unknown folder'}"


def read_owner(text: str | bytes | None) -> Owner | None:
    """The owner that was written as JSON; None when there is none, or the text is something else."""
    try:
        return decode_json(text or "", Owner)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _read_start(pid: int) -> int | None:
    """When process `pid` started (clock ticks since boot); -1 when it is a zombie, None when it cannot be seen."""
    process = read_process(pid)
    if process is None:
        return None
    return -1 if process.state in "ZX" else process.started


def _exists(pid: int) -> bool:
    """Whether there is a process, or may be: other users' processes can be hidden (`hidepid` of /proc)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def _hash_machine_id(root: Path = ROOT) -> str:
    """The machine's ID as a hash, because the ID itself is confidential (machine-id(5)); empty where there is none."""
    text = read_text(root / "etc/machine-id")
    return sha256(f"tokgate {text}".encode()).hexdigest()[:16] if text else ""


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
