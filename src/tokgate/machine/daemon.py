"""The version and the images of the Docker daemon; nothing is started."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from contextlib import closing

import msgspec

_TIMEOUT_S = 10  # so that a dead daemon does not hang the caller


class Daemon(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the Docker daemon.

    version: None when it does not answer. error: why it does not.
    images: IDs of the wanted images it has, by name.
    created: build time of each of these, by the clock of the machine that built it (ISO 8601).
    """

    version: str | None
    error: str | None = None
    images: dict[str, str] = {}
    created: dict[str, str] = {}


def ask_daemon(images: Iterable[str] = ()) -> Daemon:
    """Ask the daemon that DOCKER_HOST names, else the local one, for its version and for `images`."""
    import docker  # late: it takes longer to import than most checks take
    from docker.errors import DockerException, ImageNotFound
    from requests.exceptions import RequestException

    ids, created = {}, {}
    try:
        check_socket()
        with closing(docker.from_env(timeout=_TIMEOUT_S)) as client:
            version = str(client.version()["Version"])
            for image in images:
                try:
                    details = client.images.get(image)
                except ImageNotFound:
                    continue
                ids[image], created[image] = str(details.short_id), str(details.attrs["Created"])
    except (DockerException, RequestException) as error:
        return Daemon(version=None, error=str(error))
    except (KeyError, TypeError, AttributeError) as error:  # another program, whose answers have another form
        return Daemon(version=None, error=f"{_host()}: it does not answer as Docker does ({error!r})")
    except OSError as error:
        return Daemon(version=None, error=f"{_host()}: {error.strerror or error}")
    return Daemon(version=version, images=ids, created=created)


def image_command(image: str) -> str:
    """The command that brings an image to this machine: those of tokgate's own are built, not pulled."""
    owner, _, name = image.partition(":")[0].partition("/")
    return f"./ci/images.sh {name}" if owner == "tokgate" else f"docker pull {image}"


def _host(host: str | None = None) -> str:
    from docker.utils import parse_host

    return str(parse_host(os.environ.get("DOCKER_HOST") if host is None else host))


def check_socket(host: str | None = None) -> None:
    """Raise OSError when the daemon's socket accepts no connection; host: instead of the value of DOCKER_HOST.

    Its message is clearer than docker-py's, which also leaves its own socket open.
    """
    url = _host(host)
    if url.startswith("http+unix://"):
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(_TIMEOUT_S)
            probe.connect(url.removeprefix("http+unix://"))
