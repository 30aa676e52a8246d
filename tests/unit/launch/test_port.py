"""Ports: a second server of one spec gets another free port, where its arguments allow that."""

from __future__ import annotations

import socket

import msgspec
import pytest

from tokgate._exceptions import PortTaken
from tokgate.config.server import DockerLaunch, EmbeddedLaunch, Model, ServerSpec
from tokgate.launch.port import move_port


@pytest.fixture
def spec() -> ServerSpec:
    """A container on a port that this test holds."""
    launch = DockerLaunch(image="i", port=18091, args=("--port", "{port}"))
    return ServerSpec(name="s", description="d", engine="vllm", launch=launch, model=Model(id="m"))


def port_of(spec: ServerSpec) -> int:
    assert isinstance(spec.launch, DockerLaunch)
    return spec.launch.port


def test_own_port_is_kept(spec: ServerSpec) -> None:
    assert move_port(spec, taken=()) is spec
    embedded = msgspec.structs.replace(spec, launch=EmbeddedLaunch(gguf="g"))
    assert move_port(embedded, taken={18091}) is embedded


def test_next_free_port(spec: ServerSpec) -> None:
    """It is neither taken by the other servers nor used by a process."""
    first = port_of(move_port(spec, taken={18091}))
    second = port_of(move_port(spec, taken={18091, first}))
    assert 18091 < first < second
    with socket.create_server(("127.0.0.1", first)):
        assert port_of(move_port(spec, taken={18091})) == second


def test_fixed_port_cannot_be_moved(spec: ServerSpec) -> None:
    fixed = msgspec.structs.replace(spec, launch=DockerLaunch(image="i", port=18091, args=("--port", "18091")))
    with pytest.raises(PortTaken, match=r"port 18091 .* do not use `\{port\}`"):
        move_port(fixed, taken={18091})


def test_highest_port_has_no_next(spec: ServerSpec) -> None:
    last = msgspec.structs.replace(spec, launch=DockerLaunch(image="i", port=65535, args=("{port}",)))
    with pytest.raises(PortTaken, match="after 65535"):
        move_port(last, taken={65535})
