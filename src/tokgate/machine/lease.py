"""Lease: one measurement at a time on this host, whoever starts it.

The lock is the kernel's, so it ends with its holder, however that ends. The holder writes a note beside it
that tells others who it is; the note counts only while the lock is held.
"""

from __future__ import annotations

import getpass
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import psutil
from filelock import FileLock, Timeout

from tokgate._exceptions import LeaseHeld, UsageError
from tokgate.config.bounds import PAGE_BYTES
from tokgate.config.reading import decode_json, read_file

# One place for all users, so neither $TMPDIR nor $XDG_RUNTIME_DIR, which differ between users.
LEASE_DIR = Path("/tmp/tokgate")
_POLL_S = 0.25  # costs the running measurement nothing noticeable


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """The process that holds the lease. since: ISO 8601 in UTC; describe: what it does, such as its command line."""

    pid: int
    user: str
    since: str
    describe: str

    def __str__(self) -> str:
        return f"pid {self.pid} of {self.user}, since {self.since}: `{self.describe}`"


@contextmanager
def hold_lease(
    *,
    wait: bool,
    describe: str,
    on_wait: Callable[[str], None],
    directory: Path = LEASE_DIR,
) -> Iterator[None]:
    """Hold this host's measuring lease while the context lasts.

    wait: whether to wait for the present holder to end.
    describe: what this process does, for the others.
    on_wait: called once before waiting, with a message that names the holder.
    directory: where the lock and the note are.
    Raises LeaseHeld when another process has it and wait is false, and UsageError when the lease's
    directory cannot be used. KeyboardInterrupt ends the waiting.
    """
    _prepare(directory)
    # Not per thread: another thread than the one that entered the context may leave it.
    lock = FileLock(directory / "lease.lock", mode=0o666, thread_local=False)
    note = directory / "holder.json"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        holder = str(_read(note) or "an unknown process")
        if not wait:
            raise LeaseHeld(
                f"another run is measuring on this machine ({holder}); lock {lock.lock_file}. "
                "Two runs at once would slow each other down, and neither could be trusted. "
                "Next: leave out --tokgate-no-wait to wait for it, or stop that run.",
                holder=holder,
            ) from None
        on_wait(f"waiting for another run on this machine to end ({holder}); press Ctrl-C to give up")
        lock.acquire(poll_interval=_POLL_S)
    try:
        _write(note, describe)
        yield
    finally:
        with suppress(OSError):
            note.unlink()
        lock.release()


def _prepare(directory: Path) -> None:
    """Create the directory, writable for all users.

    It is not sticky like /tmp itself, where one user may not use another's lock file.
    """
    try:
        with suppress(FileExistsError):
            directory.mkdir(parents=True)
            directory.chmod(0o777)
        if not os.access(directory, os.W_OK | os.X_OK):
            raise PermissionError("this user may not write to it")
    except OSError as error:
        raise UsageError(
            f"the lease that prevents two runs at once needs {directory}, which cannot be used: {error}. "
            f"Next: have its owner run `chmod 777 {directory}`, or remove it."
        ) from error


def find_holder(directory: Path = LEASE_DIR) -> Holder | None:
    """Who holds the lease now; None if nobody does, or if the holder cannot be identified."""
    holder = _read(directory / "holder.json")
    # The note of a killed holder stays behind: it is believed only while that process lives.
    return holder if holder is not None and psutil.pid_exists(holder.pid) else None


def _read(note: Path) -> Holder | None:
    try:
        return decode_json(read_file(note, PAGE_BYTES), Holder)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):  # the holder is just starting, or another program
        return None


def _write(note: Path, describe: str) -> None:
    holder = Holder(
        pid=os.getpid(),
        user=_user(),
        since=datetime.now(UTC).isoformat(timespec="seconds"),
        describe=describe.encode(errors="replace").decode(),  # an argument may not be UTF-8
    )
    # Under a random name that nobody can have prepared, then moved: complete or not at all.
    with tempfile.NamedTemporaryFile(dir=note.parent, prefix=note.stem, delete=False) as new:
        new.write(msgspec.json.encode(holder))
    Path(new.name).chmod(0o644)
    Path(new.name).replace(note)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a numeric user of a container has no name
        return f"uid {os.getuid()}"
