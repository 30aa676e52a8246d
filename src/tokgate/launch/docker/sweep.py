"""Removes containers of runs that could not do it themselves: what the guardian asks for, and what even it has left."""

from __future__ import annotations

from contextlib import closing, suppress

from docker.errors import APIError, NotFound

from tokgate.launch.docker.daemon import LABEL, OWNER_LABEL, UNREACHABLE, connect
from tokgate.machine.leftovers import Leftovers, judge
from tokgate.machine.owner import read_owner


def sweep() -> Leftovers:
    """Remove every container that this user started in this folder and whose run has certainly ended.

    All other containers of tokgate are left alone, and listed with the reason. Without Docker it does nothing and
    raises nothing.
    """
    leftovers = Leftovers()
    try:
        client = connect()
    except UNREACHABLE:
        return leftovers
    with closing(client), suppress(*UNREACHABLE):
        for container in client.containers.list(all=True, filters={"label": f"{LABEL}=1"}, ignore_removed=True):
            what = f"container {container.name}"
            if why := judge(read_owner(container.labels.get(OWNER_LABEL))):
                leftovers.left.append(f"{what}: {why}")
                continue
            with suppress(NotFound, APIError):  # the guardian, or another run, may remove it at the same time
                container.remove(force=True, v=True)
                leftovers.ended.append(what)
    return leftovers


def remove(name: str, *, owner: str, daemon: str) -> bool:
    """Remove one container, also a paused one; returns whether it was there.

    owner: the text of its label; a container of that name with another label is left alone.
    daemon: value of DOCKER_HOST; empty for the local daemon.
    Raises one of UNREACHABLE.
    """
    with closing(connect(daemon)) as client:
        try:
            container = client.containers.get(name)
            if container.labels.get(OWNER_LABEL) != owner:
                return False
            container.remove(force=True, v=True)
        except NotFound:
            return False
    return True
