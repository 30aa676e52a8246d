"""Connections to the Docker daemon, and its failures as errors that say what to do."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from time import perf_counter

import docker
from docker import DockerClient
from docker.errors import APIError, DockerException
from requests.exceptions import RequestException

from tokgate._exceptions import DockerUnavailable, LaunchError
from tokgate.config.bounds import OUTPUT_BYTES, OUTPUT_S
from tokgate.launch.guardian.client import Container, guarded
from tokgate.machine.daemon import check_socket

LABEL = "tokgate"
OWNER_LABEL = "tokgate.owner"
_TIMEOUT_S = 20  # longer than any answer takes, so that a daemon that died never hangs a run
_GPU_DRIVER = "could not select device driver"  # the daemon's words when it has no runtime for `gpus`
_NO_GPUS = "install the NVIDIA Container Toolkit, which lets Docker pass GPUs to containers, or remove `launch.gpus`"
_COMPARE = "compare `launch` in the server's YAML with what this machine has"
UNREACHABLE = (RequestException, DockerException, OSError)
"""What docker-py raises when the daemon cannot be reached."""


def connect(host: str | None = None) -> DockerClient:
    """A client of the daemon that DOCKER_HOST names, else of the local one. Raises one of UNREACHABLE.

    host: instead of the value of DOCKER_HOST; empty for the local daemon.
    """
    check_socket(host)
    environment = None if host is None else {**os.environ, "DOCKER_HOST": host}
    return docker.from_env(timeout=_TIMEOUT_S, environment=environment)


@contextmanager
def open_daemon(server: str) -> Iterator[DockerClient]:
    """A client, closed at the end. Raises DockerUnavailable when the daemon does not answer."""
    with convert_docker_errors(server):
        client = connect()
    try:
        yield client
    finally:
        client.close()


def collect_output(pieces: Iterable[bytes]) -> bytes:
    """What a program in a container prints, as far as OUTPUT_BYTES and OUTPUT_S allow."""
    output, ends_s = b"", perf_counter() + OUTPUT_S
    for piece in pieces:
        output += piece
        if len(output) > OUTPUT_BYTES or perf_counter() > ends_s:
            break
    return output[:OUTPUT_BYTES]


def guarded_container(
    name: str, labels: Mapping[str, str], log_dir: Path, *, server: str
) -> AbstractContextManager[Callable[[], None]]:
    """`guarded` for the container of this name, which will have these labels. Raises LaunchError."""
    daemon = os.environ.get("DOCKER_HOST", "")
    thing = Container(name=name, owner=labels[OWNER_LABEL], daemon=daemon, log_dir=str(log_dir.absolute()))
    return guarded(thing, server=server)


@contextmanager
def convert_docker_errors(server: str, *, doing: str = "connect to it") -> Iterator[None]:
    """Turn docker-py's errors into LaunchError, or into DockerUnavailable when the daemon does not answer.

    doing: what the block tries to do, such as "start its container".
    """
    try:
        check_socket()
        yield
    except APIError as error:
        explanation = str(error.explanation or error)
        raise LaunchError(
            f"Docker could not {doing}: {explanation}. Next: {_NO_GPUS if _GPU_DRIVER in explanation else _COMPARE}.",
            server=server,
        ) from error
    except UNREACHABLE as error:
        raise DockerUnavailable(
            f"the Docker daemon does not answer: could not {doing}: {error}. Next: check that Docker is installed "
            "and runs (`systemctl start docker`), that this user may use it (`docker info`; group docker), and "
            "the value of DOCKER_HOST.",
            server=server,
        ) from error
