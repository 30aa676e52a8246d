"""Containers whose run was killed before it could remove them."""

from __future__ import annotations

from contextlib import closing, suppress

import msgspec
from docker.errors import APIError, NotFound

from tokgate.launch.docker.daemon import LABEL, OWNER_LABEL, UNREACHABLE, connect
from tokgate.launch.docker.owner import Owner


def sweep() -> tuple[str, ...]:
    """Remove every tokgate container whose owner has ended, and only those. Returns their names.

    Without Docker it does nothing and raises nothing.
    """
    try:
        client = connect()
    except UNREACHABLE:
        return ()
    removed: list[str] = []
    with closing(client), suppress(*UNREACHABLE):
        for container in client.containers.list(all=True, filters={"label": f"{LABEL}=1"}, ignore_removed=True):
            if _orphaned(container.labels.get(OWNER_LABEL, "")):
                with suppress(NotFound, APIError):  # another run may sweep at the same time
                    container.remove(force=True, v=True)
                    removed.append(str(container.name))
    return tuple(removed)


def _orphaned(label: str) -> bool:
    try:
        return msgspec.json.decode(label, type=Owner).is_gone()
    except msgspec.DecodeError:
        return False
