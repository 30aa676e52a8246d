"""Whether a port is free, and if not, which process has it."""

from __future__ import annotations

import errno
import socket

from tokgate._exceptions import PortTaken
from tokgate.machine.processes import find_listeners, read_program


def check_free(port: int, *, server: str) -> None:
    """Raise PortTaken when a process listens on `port`; names it where this user may see it.

    Two servers can share a port without an error (SO_REUSEPORT), and each would get half the requests.
    """
    with socket.socket() as probe:
        # Closed connections that linger do not matter.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise PortTaken(
                f"port {port} is in use by {_holder(port)}. Next: stop it, or change `launch.port`.",
                server=server,
            ) from None


def _holder(port: int) -> str:
    for pid in find_listeners(port) or ():
        return f"pid {pid}: {read_program(pid) or 'a process that has just ended'}"
    return f"a process that this user cannot see (`sudo ss -ltnp 'sport = :{port}'` names it)"
