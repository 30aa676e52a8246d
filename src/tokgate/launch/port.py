"""Is a port free, and if not, who has it."""

from __future__ import annotations

import errno
import socket

import psutil

from tokgate._exceptions import PortTaken


def check_free(port: int, *, server: str) -> None:
    """Raise PortTaken, naming the process where this user may see it, when something listens on `port`.

    Two servers can share a port without an error (SO_REUSEPORT), and each would get half the requests.
    """
    with socket.socket() as ours:
        ours.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # remains of closed connections do not matter
        try:
            ours.bind(("", port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise PortTaken(
                f"port {port} is taken by {_holder(port)}. Next: end that, or change `launch.port`.",
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
    return f"a process this user may not see (`sudo ss -ltnp 'sport = :{port}'` names it)"
