"""Servers that are frozen while another one works: stopped for certain, awake again afterwards, and quick to end."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.request import Request, urlopen

import msgspec
import psutil
import pytest
from docker import DockerClient

from tokgate._exceptions import LaunchError, ServerExited, ServerNotIdle, ServerNotReady
from tokgate.config.catalogue import Catalogue
from tokgate.config.server import AttachLaunch, ServerSpec
from tokgate.launch import idle
from tokgate.launch.http import get
from tokgate.launch.idle import check_idle, freeze, hold_idle, read_cpu_s, thaw
from tokgate.launch.port import move_port
from tokgate.launch.server import Server
from tokgate.launch.start import start

Eventually = Callable[[Callable[[], bool]], None]
QUICK_S = 4.0
"""Less than the grace time after which a server that does not end by itself is killed."""


@pytest.fixture(params=["embedded", "docker"])
def spec(request: pytest.FixtureRequest, catalogue: Catalogue) -> ServerSpec:
    """A server of each kind that tokgate starts."""
    if request.param == "embedded":
        return catalogue.server("embedded-smollm2", {"launch": {"threads": 1}})
    make: Callable[..., ServerSpec] = request.getfixturevalue("docker_spec")
    return make(args=["--port", "{port}", "--alias", "{model}", "--ctx-size", "1024", "--threads", "1"])


@pytest.fixture
def server(spec: ServerSpec, tmp_path: Path) -> Iterator[Server]:
    with start(spec, log_dir=tmp_path) as server:
        yield server


def answers(server: Server) -> bool:
    return get(f"{server.facts.base_url}/health", timeout_s=0.5).status == 200


def complete(server: Server, *, max_tokens: int) -> None:
    """Make the server work."""
    body = msgspec.json.encode({"model": server.facts.model, "prompt": "Once", "max_tokens": max_tokens})
    request = Request(f"{server.facts.base_url}/v1/completions", body, {"Content-Type": "application/json"})
    with urlopen(request, timeout=60) as answer:
        answer.read()


def test_frozen_server_is_idle_and_wakes_up(server: Server) -> None:
    for _ in range(3):
        with hold_idle(server):
            before_s = read_cpu_s(server)
            assert not answers(server)
            server.check_alive()
            assert read_cpu_s(server) == before_s
        assert answers(server)


def test_freeze_comes_in_the_middle_of_work(server: Server) -> None:
    """A server that is just answering stops, and finishes the answer afterwards."""
    address = server.facts.base_url.removeprefix("http://").split(":")
    body = msgspec.json.encode({"model": server.facts.model, "prompt": "Once", "max_tokens": 60, "stream": True})
    head = f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    with socket.create_connection((address[0], int(address[1]))) as connection:
        connection.sendall(head.encode() + body)
        assert connection.recv(100)
        mark = freeze(server)
        time.sleep(0.3)
        check_idle(server, mark)
        thaw(server)
        received = b""
        while piece := connection.recv(65536):
            received += piece
    assert b"[DONE]" in received


def test_a_server_that_goes_on_is_not_idle(server: Server) -> None:
    assert server.freezer is not None
    mark = freeze(server)
    server.freezer.thaw()
    with pytest.raises(ServerNotIdle, match="something has let it go on"):
        check_idle(server, mark)


def test_work_between_two_looks_is_noticed(server: Server) -> None:
    """A server that worked and was stopped again is not idle either."""
    mark = freeze(server)
    thaw(server)
    complete(server, max_tokens=20)
    freeze(server)
    with pytest.raises(ServerNotIdle, match=r"used \d+\.\d\d s of CPU time") as raised:
        check_idle(server, mark)
    assert raised.value.cpu_s is not None


def test_frozen_server_that_was_killed(server: Server, eventually: Eventually) -> None:
    """A process that is killed while it is frozen is reported as ended: in a container, once it goes on."""
    freeze(server)
    assert server.facts.pids is not None
    pid = server.facts.pids[0]
    os.kill(pid, signal.SIGKILL)

    def wake() -> None:
        thaw(server)
        eventually(lambda: not psutil.pid_exists(pid))
        server.check_alive()

    with pytest.raises(ServerExited, match="while it was in use"):
        wake()


def test_frozen_server_ends_quickly(spec: ServerSpec, tmp_path: Path) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(start(spec, log_dir=tmp_path))
        freeze(server)
        began = time.perf_counter()
    assert time.perf_counter() - began < QUICK_S
    assert server.facts.pids is not None
    assert not psutil.pid_exists(server.facts.pids[0])


def test_server_that_does_not_wake_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thawed server that does not answer in time is reported with its last answer."""
    monkeypatch.setattr(idle, "WAKE_S", 0.2)
    assert server.freezer is not None
    sleepy = msgspec.structs.replace(server, freezer=msgspec.structs.replace(server.freezer, thaw=lambda: None))
    freeze(sleepy)
    with pytest.raises(ServerNotReady, match=r"did not wake up.*last answer: GET .*/health: no complete answer"):
        thaw(sleepy)


def test_two_containers_of_one_spec(docker_spec: Callable[..., ServerSpec], tmp_path: Path) -> None:
    """Two containers of one spec run next to each other, and only one of them works at a time."""
    spec = docker_spec()
    assert not isinstance(spec.launch, AttachLaunch)
    with start(spec, log_dir=tmp_path) as first:
        moved = move_port(spec, taken={getattr(spec.launch, "port", 0)})
        with start(moved, log_dir=tmp_path) as second:
            assert first.facts.base_url != second.facts.base_url
            for working, waiting in ((first, second), (second, first)):
                with hold_idle(waiting):
                    assert answers(working)
                    assert not answers(waiting)


def test_paused_container_that_was_removed(
    docker_spec: Callable[..., ServerSpec], docker_engine: DockerClient, tmp_path: Path
) -> None:
    """A frozen container that somebody removes is reported as ended."""
    with start(docker_spec(), log_dir=tmp_path) as server:
        mark = freeze(server)
        (ours,) = docker_engine.containers.list(filters={"label": f"tokgate.run={tmp_path}"})
        ours.remove(force=True)
        with pytest.raises(ServerExited, match="container was removed"):
            check_idle(server, mark)
        with pytest.raises(ServerExited, match="container was removed"):
            thaw(server)


def test_attached_server_is_shown_to_be_idle(catalogue: Catalogue, tmp_path: Path) -> None:
    """A server that was started elsewhere is not stopped, and requests to it are noticed."""
    with start(catalogue.server("embedded-smollm2"), log_dir=tmp_path) as theirs:
        spec = msgspec.structs.replace(theirs.spec, launch=AttachLaunch(url=theirs.facts.base_url))
        with start(spec, log_dir=tmp_path) as server:
            with hold_idle(server):
                time.sleep(0.5)
            mark = freeze(server)
            assert answers(server)
            complete(server, max_tokens=100)
            with pytest.raises(ServerNotIdle, match=r"stop whatever sends it requests"):
                check_idle(server, mark)
            hidden = msgspec.structs.replace(server, facts=msgspec.structs.replace(server.facts, pids=None))
            with pytest.raises(ServerNotIdle, match="nothing shows that it is idle"), hold_idle(hidden):
                pass


def test_docker_says_why_it_cannot_freeze(
    docker_spec: Callable[..., ServerSpec], docker_engine: DockerClient, tmp_path: Path
) -> None:
    with start(docker_spec(), log_dir=tmp_path) as server:
        (ours,) = docker_engine.containers.list(filters={"label": f"tokgate.run={tmp_path}"})
        ours.pause()
        with pytest.raises(LaunchError, match=re.escape("could not pause its container")):
            freeze(server)
