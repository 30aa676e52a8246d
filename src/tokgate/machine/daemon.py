"""What the Docker engine says of itself and its images; nothing is started."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from contextlib import closing

import msgspec

_TIMEOUT_S = 10


class Engine(msgspec.Struct, frozen=True, kw_only=True):
    """version: None when no engine answers, and then error says why. images: id by name, of those asked for;
    created: when each was, as its maker's clock said (ISO 8601)."""

    version: str | None
    error: str | None = None
    images: dict[str, str] = {}
    created: dict[str, str] = {}


def ask_engine(images: Iterable[str] = ()) -> Engine:
    """Ask the engine that DOCKER_HOST names, else the local one, for its version and for `images`."""
    import docker  # late: it takes longer to import than most checks take
    from docker.errors import DockerException, ImageNotFound
    from requests.exceptions import RequestException

    found, created = {}, {}
    try:
        reach()
        with closing(docker.from_env(timeout=_TIMEOUT_S)) as client:
            version = str(client.version()["Version"])
            for image in images:
                try:
                    one = client.images.get(image)
                except ImageNotFound:
                    continue
                found[image], created[image] = str(one.short_id), str(one.attrs["Created"])
    except (DockerException, RequestException) as error:
        return Engine(version=None, error=str(error))
    except OSError as error:
        return Engine(version=None, error=f"{_host()}: {error.strerror or error}")
    return Engine(version=version, images=found, created=created)


def _host() -> str:
    from docker.utils import parse_host

    return str(parse_host(os.environ.get("DOCKER_HOST")))


def reach() -> None:
    """Raise OSError when the engine's socket takes no connection: plainer than what docker-py makes of it,
    which then leaves its own socket unclosed."""
    host = _host()
    if host.startswith("http+unix://"):
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(_TIMEOUT_S)
            probe.connect(host.removeprefix("http+unix://"))
