"""Whether a port is free, and if not, which process has it."""

from __future__ import annotations

import errno
import socket

import psutil

from tokgate._exceptions import PortTaken


def check_free(port: int, *, server: str) -> None:
    """Raise PortTaken when a process listens on `port`; names it where this user may see it.

    Two servers can share a port without an error (SO_REUSEPORT), and each would get half the requests.
    """
    with socket.socket() as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # closed connections that linger do not matter
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
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        connections = []
    for connection in connections:
        if (
            connection.status == psutil.CONN_LISTEN
            and connection.laddr
            and connection.laddr[1] == port
            and connection.pid
        ):
            try:
                command = " ".join(psutil.Process(connection.pid).cmdline())
            except psutil.Error:
                command = "a process that has just ended"
            return f"pid {connection.pid}: {command[:200]}"
    return f"a process that this user cannot see (`sudo ss -ltnp 'sport = :{port}'` names it)"
