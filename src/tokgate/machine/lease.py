"""Lease: one measurement at a time on this host, whoever starts it.

The lock is the kernel's, so it ends with its holder however that ends. The note beside it, written by
the holder, only tells others who that is; it is believed only while the lock is held.
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
from filelock import FileLock, Timeout

from tokgate._exceptions import LeaseHeld, UsageError

# One place for all users, so neither $TMPDIR nor $XDG_RUNTIME_DIR, which differ between them.
LEASE_DIR = Path("/tmp/tokgate")
_POLL_S = 0.25


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds the lease. since: ISO 8601 in UTC; describe: what it does, such as its command line."""

    pid: int
    user: str
    since: str
    describe: str

    def __str__(self) -> str:
        return f"pid {self.pid} of {self.user}, since {self.since}: `{self.describe}`"


@contextmanager
def lease(
    *,
    wait: bool,
    describe: str,
    on_wait: Callable[[str], None],
    directory: Path = LEASE_DIR,
) -> Iterator[None]:
    """Hold this host's measuring lease while the context lasts.

    wait: whether to wait for a holder to end; on_wait is then called once, with who that is.
    describe: what others are told of this holder.
    Raises LeaseHeld when another process has it and wait is false, and UsageError when the lease's
    directory cannot be used. KeyboardInterrupt ends the waiting.
    """
    _prepare(directory)
    # Not per thread: the context may be left by another thread than the one that entered it.
    lock = FileLock(directory / "lease.lock", mode=0o666, thread_local=False)
    note = directory / "holder.json"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        holder = _read(note)
        if not wait:
            raise LeaseHeld(
                f"this machine is being measured by another run ({holder}); lock {lock.lock_file}. "
                "Two at once would slow each other down and neither could be trusted. "
                "Next: leave out --tokgate-no-wait to wait for it, or end that run.",
                holder=holder,
            ) from None
        on_wait(f"waiting for another run to end on this machine ({holder}); Ctrl-C gives up")
        lock.acquire(poll_interval=_POLL_S)
    try:
        _write(note, describe)
        yield
    finally:
        with suppress(OSError):
            note.unlink()
        lock.release()


def _prepare(directory: Path) -> None:
    """Make the directory, open to all users.

    Not sticky like /tmp itself: there, a lock file of one user may not be used by another.
    """
    try:
        try:
            directory.mkdir(parents=True)
            directory.chmod(0o777)
        except FileExistsError:
            pass
        if not os.access(directory, os.W_OK | os.X_OK):
            raise PermissionError("not writable for this user")
    except OSError as error:
        raise UsageError(
            f"the lease that keeps two runs apart needs {directory}, which cannot be used: {error}. "
            f"Next: let its owner run `chmod 777 {directory}`, or remove it."
        ) from error


def _read(note: Path) -> str:
    try:
        return str(msgspec.json.decode(note.read_bytes(), type=Holder))
    except (OSError, msgspec.MsgspecError):  # the holder is just starting, or another program
        return "it has not said who it is"


def _write(note: Path, describe: str) -> None:
    holder = Holder(
        pid=os.getpid(),
        user=_user(),
        since=datetime.now(UTC).isoformat(timespec="seconds"),
        describe=describe,
    )
    # Under a name nobody can have laid out beforehand, then moved: whole or not at all.
    with tempfile.NamedTemporaryFile(dir=note.parent, prefix=note.stem, delete=False) as fresh:
        fresh.write(msgspec.json.encode(holder))
    Path(fresh.name).chmod(0o644)
    Path(fresh.name).replace(note)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a numeric user of a container has no name
        return f"uid {os.getuid()}"
