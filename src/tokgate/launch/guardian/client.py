"""The run's side of the guardian: what may exist is reported before it does, and again when it is gone.

    with guarded(Container(…)) as gone:
        …                   # create it, use it, remove it
        gone()

A run has one guardian, started with the first thing to guard. It ends by itself after the run.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import msgspec

from tokgate._exceptions import LaunchError

_START_S = 60  # a Python process starts in 30 ms, on a machine that swaps in seconds
_UNREACHABLE = (OSError, subprocess.SubprocessError)


class Container(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A container.

    name: random, as it has no ID before it exists. owner: its label, checked before it is removed.
    daemon: the value of DOCKER_HOST; empty where it is not set.
    log_dir: folder for the guardian's log.
    """

    name: str
    owner: str
    daemon: str
    log_dir: str


class Process(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A process of this machine. started: in clock ticks since boot. log_dir: as above."""

    pid: int
    started: int
    log_dir: str


Thing = Container | Process


@contextmanager
def guarded(thing: Thing, *, server: str) -> Iterator[Callable[[], None]]:
    """Let the guardian end `thing` if this process is killed while the context lasts.

    Enter it before the thing exists. Call what it gives as soon as the thing is certainly gone; when the context
    is left without that, the guardian ends the thing at once, as it does when this process ends.
    server: its name in the specs. Raises LaunchError when there can be no guardian.
    """
    is_gone = False

    def gone() -> None:
        nonlocal is_gone
        is_gone = True
        with suppress(*_UNREACHABLE):
            _GUARDIAN.tell("gone", thing)

    try:
        _GUARDIAN.tell("guard", thing)
    except _UNREACHABLE as error:
        raise LaunchError(
            f"could not start the process that would end it if this one were killed: {error}. "
            "Next: check free memory and the limit of processes (`ulimit -u`).",
            server=server,
        ) from error
    try:
        yield gone
    finally:
        if not is_gone:
            with suppress(*_UNREACHABLE):  # what made this necessary is the error to report
                _GUARDIAN.tell("end", thing)


class _Guardian:
    """The guardian of this process, and everything it knows of that may still exist."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._pipe: int | None = None
        self._run = os.getpid()
        self._things: dict[str, Thing] = {}

    def tell(self, do: str, thing: Thing) -> None:
        """Give the order, to a new guardian if there is none or it has ended."""
        with self._lock:
            if self._run != os.getpid():  # a copy of the run: neither the guardian nor the things are its own
                self._run, self._pipe, self._things = os.getpid(), None, {}
            key = repr(thing)
            if do == "guard":
                self._things[key] = thing
            elif key not in self._things:
                return
            if self._pipe is None:
                self._start()
            try:
                self._write(do, key, thing)
            except BrokenPipeError:
                self._start()
                self._write(do, key, thing)
            if do != "guard":
                self._things.pop(key, None)

    def _start(self) -> None:
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None
        read, write = os.pipe()
        try:
            subprocess.run(
                (sys.executable, "-P", "-m", "tokgate.launch.guardian.process", str(os.getpid())),
                stdin=read,
                stdout=subprocess.DEVNULL,  # whoever reads the run's output must not wait for the guardian
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                # A GitHub runner kills at the end of a job whatever has this variable.
                env={key: value for key, value in os.environ.items() if key != "RUNNER_TRACKING_ID"},
                timeout=_START_S,
                check=True,
            )
        except BaseException:
            os.close(write)
            raise
        finally:
            os.close(read)
        self._pipe = write
        for key, thing in self._things.items():
            self._write("guard", key, thing)

    def _write(self, do: str, key: str, thing: Thing) -> None:
        assert self._pipe is not None
        os.write(self._pipe, msgspec.json.encode({"do": do, "key": key, "thing": thing}) + b"\n")


_GUARDIAN = _Guardian()
