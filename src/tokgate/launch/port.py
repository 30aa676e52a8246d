"""Whether a port is free, and if not, which process has it; and a free port for a second server of one spec."""

from __future__ import annotations

import errno
import socket
from collections.abc import Container

import msgspec

from tokgate._exceptions import PortTaken
from tokgate.config.server import DockerLaunch, ServerSpec
from tokgate.machine.processes import find_listeners, read_program

_PORTS_TRIED = 100  # one server has a few ports at most, so more are never in the way
_HIGHEST_PORT = 65535


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


def move_port(spec: ServerSpec, *, taken: Container[int]) -> ServerSpec:
    """`spec` on a port that is free and not in `taken`, so that it can run next to servers on those.

    It is returned as it is when its own port is not taken, or when tokgate does not choose its port: the embedded
    engine takes a free one itself, and a server that was started elsewhere has its own.
    Otherwise it gets the next higher free port, which is the same each time the same ports are free.
    Raises PortTaken when the port cannot be changed, because the arguments do not have `{port}`.
    """
    how = spec.launch
    if not isinstance(how, DockerLaunch) or how.port not in taken:
        return spec
    if not any("{port}" in arg for arg in how.args):
        raise PortTaken(
            f"port {how.port} is used by the other server, and this one cannot be moved to another port: its "
            "arguments do not use `{port}`. Next: write `{port}` in `launch.args` where the port is given.",
            server=spec.name,
        )
    for port in range(how.port + 1, min(how.port + _PORTS_TRIED, _HIGHEST_PORT) + 1):
        if port not in taken and _is_free(port):
            return msgspec.structs.replace(spec, launch=msgspec.structs.replace(how, port=port))
    raise PortTaken(
        f"none of the {_PORTS_TRIED} ports after {how.port} is free. Next: change `launch.port`.", server=spec.name
    )


def _is_free(port: int) -> bool:
    try:
        check_free(port, server="")
    except PortTaken:
        return False
    return True


def _holder(port: int) -> str:
    for pid in find_listeners(port) or ():
        return f"pid {pid}: {read_program(pid) or 'a process that has just ended'}"
    return f"a process that this user cannot see (`sudo ss -ltnp 'sport = :{port}'` names it)"
