"""SIGTERM and SIGHUP act like Ctrl-C, so that a canceled job and a lost terminal end servers in the same way."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_ENDS = (signal.SIGTERM, signal.SIGHUP)


def handle_ends() -> dict[signal.Signals, signal.Handlers]:
    """Make SIGTERM and SIGHUP act like Ctrl-C; returns the handlers that were replaced, which are the defaults.

    A signal that the program handles, or that is ignored (SIGHUP under nohup), is left as it is.
    """
    replaced = {number: signal.SIG_DFL for number in _ENDS if signal.getsignal(number) is signal.SIG_DFL}
    for number in replaced:
        signal.signal(number, _interrupt)
    return replaced


@contextmanager
def ends_interrupt() -> Iterator[None]:
    """`handle_ends` while the context lasts; without effect in another than the main thread."""
    replaced = handle_ends() if threading.current_thread() is threading.main_thread() else {}
    try:
        yield
    finally:
        for number, handler in replaced.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    if number == signal.SIGHUP:
        _leave_terminal()
    if signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, signal.SIG_DFL):  # a job in the background of a script
        raise KeyboardInterrupt
    # Not raised here: asyncio, while it runs, has a handler of its own that cancels cleanly.
    signal.raise_signal(signal.SIGINT)


def _leave_terminal() -> None:
    """Point every file that is the lost terminal to /dev/null: writing to it would fail, and end the run early."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - numbers, not paths
        with suppress(OSError):
            if os.readlink(f"/proc/self/fd/{name}").startswith(("/dev/pts/", "/dev/tty")):  # noqa: PTH115
                os.dup2(null, int(name), inheritable=os.get_inheritable(int(name)))
    os.close(null)
