"""What all of the project's own tests share."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """A job in the background ignores Ctrl-C, one under nohup SIGHUP, and so would every process that a test ends."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
