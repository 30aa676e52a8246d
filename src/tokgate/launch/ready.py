"""Waits for a server: every poll checks both its process and its HTTP answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from tokgate._exceptions import ServerNotReady
from tokgate.config.server import ServerSpec
from tokgate.config.words import format_duration

_POLL_S = 0.15  # short against any start, so that startup_s is not rounded up noticeably


def wait_until_ready(
    spec: ServerSpec,
    *,
    not_ready: Callable[[], str | None],
    check_alive: Callable[[], None],
    log_path: Path | None,
) -> None:
    """Return when the server is ready.

    not_ready: gives None when it is, else the last answer as text.
    check_alive: raises when it has ended, so that a crash shows at the next poll and not at the limit.
    log_path: the log to name in ServerNotReady, which is raised after `spec.start_timeout`.
    """
    started, timeout_s = time.perf_counter(), spec.start_timeout
    while True:
        check_alive()
        answer = not_ready()
        if answer is None:
            return
        waited_s = time.perf_counter() - started
        if waited_s >= timeout_s:
            log = f"read {log_path}, or " if log_path else ""
            raise ServerNotReady(
                f"alive, but not ready after {format_duration(waited_s)} (limit {format_duration(timeout_s)}); last answer: {answer}. "
                f"Next: {log}raise `start_timeout` in the server's YAML.",
                server=spec.name,
                last_seen=answer,
                waited_s=waited_s,
                log_path=log_path,
            )
        time.sleep(min(_POLL_S, timeout_s - waited_s))
