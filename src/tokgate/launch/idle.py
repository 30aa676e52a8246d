"""Keeps a live server idle while another one is measured: freezes it, shows that it did nothing, wakes it.

    with hold_idle(other):      # frozen; raises at the end if it was not idle all the time
        ...                     # requests to the server under test
    # it runs again, and has answered

`freeze`, `check_idle` and `thaw` are the parts of it. A server that was started elsewhere is never frozen; it
is only shown to be idle, by the CPU time of its processes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tokgate import engines
from tokgate._exceptions import ServerNotIdle, ServerNotReady
from tokgate.config.words import format_duration
from tokgate.launch.probe import check_health
from tokgate.launch.server import Server
from tokgate.machine.processes import TICK_S, read_family_cpu_s

WAKE_S = 10.0
"""Seconds a server has to answer again after it was frozen: it only continues, but may be swapped in first."""
IDLE_CORES = 0.02
"""CPUs that a server which is not frozen may use and still count as idle: engines poll their queues."""
_STOP_S = 5.0  # until the last thread is stopped: one in the kernel (a disk read, a GPU call) stops when it returns
_POLL_S = 0.002  # both happen within milliseconds


class IdleMark(msgspec.Struct, frozen=True):
    """The moment from which a server has to be idle, and the CPU seconds it had used by then (None: unknown)."""

    at_s: float
    cpu_s: float | None


def read_cpu_s(server: Server) -> float | None:
    """CPU seconds that the server's processes have used so far; None when they cannot be seen from here."""
    return read_family_cpu_s(server.facts.pids or ())


def freeze(server: Server) -> IdleMark:
    """Stop all processes of the server where they are, and wait until they are stopped.

    Returns the mark that `check_idle` compares with. A server without a freezer is left as it is.
    Raises ServerExited if it has ended, and LaunchError if it cannot be stopped.
    """
    if server.freezer is not None:
        server.check_alive()
        server.freezer.freeze()
        deadline = time.perf_counter() + _STOP_S
        while not server.freezer.is_frozen():
            server.check_alive()
            if time.perf_counter() > deadline:
                raise ServerNotIdle(
                    f"did not stop within {format_duration(_STOP_S)} of being frozen. "
                    "Next: check what its processes wait for (`ps -eLo pid,stat,wchan:30,comm`).",
                    server=server.spec.name,
                )
            time.sleep(_POLL_S)
    return IdleMark(time.perf_counter(), read_cpu_s(server))


def check_idle(server: Server, mark: IdleMark) -> None:
    """Raise unless the server has been idle since `mark`, which `freeze` returned.

    A frozen server must still be stopped and must have used no CPU time at all. One without a freezer may have
    used IDLE_CORES.
    Raises ServerNotIdle, also when nothing shows that it was idle (a server on another machine), and ServerExited.
    """
    server.check_alive()
    frozen = server.freezer is not None
    if server.freezer is not None and not server.freezer.is_frozen():
        server.check_alive()  # it may have ended just now
        raise ServerNotIdle(
            "was frozen, and something has let it go on. Next: find out what sends SIGCONT or unpauses containers.",
            server=server.spec.name,
        )
    now_s, cpu_s = time.perf_counter(), read_cpu_s(server)
    if cpu_s is None or mark.cpu_s is None:
        if frozen:  # in a container of another machine: that it is stopped is all there is to know
            return
        raise ServerNotIdle(
            "nothing shows that it is idle: its processes cannot be seen from this machine and user. "
            "Next: let tokgate start it, or measure it alone.",
            server=server.spec.name,
        )
    used_s = cpu_s - mark.cpu_s
    allowed_s = (0 if frozen else IDLE_CORES * (now_s - mark.at_s)) + TICK_S / 2
    if not used_s <= allowed_s:
        raise ServerNotIdle(
            f"used {used_s:.2f} s of CPU time while another server was measured (allowed: {allowed_s:.2f} s). "
            "Next: stop whatever sends it requests.",
            server=server.spec.name,
            cpu_s=used_s,
        )


def thaw(server: Server) -> None:
    """Let a frozen server go on, and return when it answers again.

    Raises ServerExited if it has ended, ServerNotReady if it does not answer within WAKE_S.
    """
    if server.freezer is None:
        return
    server.check_alive()
    server.freezer.thaw()
    engine, started = engines.find(server.spec.engine), time.perf_counter()
    while (answer := check_health(engine, server.facts.base_url)) is not None:
        server.check_alive()
        waited_s = time.perf_counter() - started
        if waited_s > WAKE_S:
            raise ServerNotReady(
                f"did not wake up: frozen before, and not ready {format_duration(waited_s)} after it was let go on "
                f"(limit {format_duration(WAKE_S)}); last answer: {answer}. Next: read {server.facts.log_path}",
                server=server.spec.name,
                last_seen=answer,
                waited_s=waited_s,
                log_path=Path(server.facts.log_path) if server.facts.log_path else None,
            )
        time.sleep(_POLL_S)


@contextmanager
def hold_idle(server: Server) -> Iterator[None]:
    """Keep the server idle while the context lasts; it runs again, and has answered, when it is left.

    Raises what `freeze`, `check_idle` and `thaw` raise. When the block itself fails, the server is only woken.
    """
    mark = freeze(server)
    try:
        yield
        check_idle(server, mark)
    finally:
        thaw(server)
