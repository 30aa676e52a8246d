"""What the tests on real engines share: the declared servers, a Docker engine, and waiting without sleeping blindly."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker import DockerClient
from docker.errors import DockerException, ImageNotFound

from tokgate.spec.catalogue import Catalogue
from tokgate.spec.server import ServerSpec

ROOT = Path(__file__).parents[2]
IMAGE = "tokgate/llama-cpu"


def _without(reason: str) -> None:
    """Skip, or fail where CI promised that Docker is there."""
    if os.environ.get("TOKGATE_REQUIRE_DOCKER") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[DockerClient]:
    """A real engine that has the test image."""
    try:
        client = docker.from_env(timeout=20)
    except DockerException as error:
        _without(f"no Docker engine answers: {error}")
    else:
        try:
            client.images.get(IMAGE)
        except ImageNotFound:
            _without(f"image {IMAGE} is missing: ./ci/images.sh builds it")
        yield client
        client.close()


@pytest.fixture
def free_port() -> int:
    """A port that nothing listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    """The project's own fixtures."""
    return Catalogue(ROOT / "fixtures")


@pytest.fixture
def docker_spec(
    docker_engine: DockerClient, catalogue: Catalogue, free_port: int
) -> Callable[..., ServerSpec]:
    """`llamacpp-cpu` on a free port; keywords change its `launch`, `top` what stands beside that."""

    def spec(*, top: dict[str, Any] | None = None, **launch: Any) -> ServerSpec:
        return catalogue.server("llamacpp-cpu", {**(top or {}), "launch": {"port": free_port, **launch}})

    return spec


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    """Wait until something becomes true; a limit far above what it takes turns a hang into a failure."""

    def wait(holds: Callable[[], bool]) -> None:
        deadline = time.perf_counter() + 30
        while not holds():
            assert time.perf_counter() < deadline, "it never came true"
            time.sleep(0.05)

    return wait
