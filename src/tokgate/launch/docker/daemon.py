"""The Docker daemon, and what its failures mean to a person."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import docker
from docker import DockerClient
from docker.errors import APIError, DockerException
from requests.exceptions import RequestException

from tokgate._exceptions import DockerUnavailable, LaunchError
from tokgate.machine.daemon import reach

LABEL = "tokgate"
OWNER_LABEL = "tokgate.owner"
# Longer than any answer takes, so that an engine that died never hangs a run.
_TIMEOUT_S = 20
UNREACHABLE = (RequestException, DockerException, OSError)


def connect() -> DockerClient:
    """A client of the engine that DOCKER_HOST names, else of the local one. Raises one of UNREACHABLE."""
    reach()
    return docker.from_env(timeout=_TIMEOUT_S)


@contextmanager
def open_daemon(server: str) -> Iterator[DockerClient]:
    """A client, closed at the end. Raises DockerUnavailable when the daemon does not answer."""
    with docker_errors(server):
        client = connect()
    try:
        yield client
    finally:
        client.close()


@contextmanager
def docker_errors(server: str, *, doing: str = "asked the Docker daemon for its version") -> Iterator[None]:
    """What docker-py raises inside becomes LaunchError, or DockerUnavailable when the engine is not there."""
    try:
        reach()
        yield
    except APIError as error:
        raise LaunchError(
            f"Docker refused: {doing}; it said: {error.explanation or error}. "
            "Next: compare `launch` in the server's YAML with what this machine has.",
            server=server,
        ) from error
    except UNREACHABLE as error:
        raise DockerUnavailable(
            f"the Docker daemon does not answer: {doing}; {error}. Next: see that Docker is installed and runs "
            "(`systemctl start docker`), that this user may use it (`docker info`; group docker), "
            "and what DOCKER_HOST says.",
            server=server,
        ) from error
