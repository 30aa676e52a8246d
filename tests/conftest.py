"""What all of the project's own tests share."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """A job started in the background ignores Ctrl-C, and so would every process that a test interrupts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
