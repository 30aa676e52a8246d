"""Waiting for a server: its process and its HTTP answer are both looked at, at every poll."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from tokgate._exceptions import ServerNotReady

_POLL_S = 0.15


def wait_until_ready(
    *,
    server: str,
    not_ready: Callable[[], str | None],
    check_alive: Callable[[], None],
    timeout_s: float,
    log_path: Path | None,
) -> None:
    """Return when `not_ready` gives None; it gives in words what it saw otherwise.

    check_alive raises when the server has ended, so a crash shows within a poll and not at the limit.
    Raises ServerNotReady after timeout_s seconds, and whatever check_alive raises.
    """
    started = time.perf_counter()
    while True:
        check_alive()
        seen = not_ready()
        if seen is None:
            return
        waited_s = time.perf_counter() - started
        if waited_s >= timeout_s:
            log = f"read {log_path}, or " if log_path else ""
            raise ServerNotReady(
                f"alive, but not ready after {waited_s:.1f} s (limit {timeout_s:g} s); last seen: {seen}. "
                f"Next: {log}raise `start_timeout` in the server's YAML.",
                server=server,
                last_seen=seen,
                waited_s=waited_s,
                log_path=log_path,
            )
        time.sleep(min(_POLL_S, timeout_s - waited_s))
