"""Servers in real containers: what is read from them, how their failures read, and that none outlives its run."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from docker import DockerClient

from tokgate._exceptions import (
    DockerUnavailable,
    ImageMissing,
    LaunchError,
    ModelMissing,
    PortTaken,
    ServerExited,
    ServerNotReady,
)
from tokgate.config.server import ServerSpec
from tokgate.launch.docker.sweep import sweep
from tokgate.launch.start import start
from tokgate.machine.leftovers import Leftovers

MIB = 1024**2
MakeSpec = Callable[..., ServerSpec]


@pytest.fixture
def containers(docker_engine: DockerClient, tmp_path: Path) -> Callable[[], list[str]]:
    """Names of the containers, running or not, that this test's launches have left."""

    def names() -> list[str]:
        ours = f"tokgate.run={tmp_path}"
        return [str(c.name) for c in docker_engine.containers.list(all=True, filters={"label": ours})]

    return names


def test_facts_come_from_the_live_container(docker_spec: MakeSpec, docker_engine: DockerClient, tmp_path: Path) -> None:
    spec = docker_spec(cpus=1.5, memory="2GiB", env={"GGML_X": "1", "HF_TOKEN": "hush"}, cap_add=["SYS_PTRACE"])
    with start(spec, log_dir=tmp_path) as server:
        facts = server.facts
        server.check_alive()
        assert facts.image == "tokgate/llama-cpu"
        assert facts.image_id == docker_engine.images.get("tokgate/llama-cpu").id
        assert facts.args[:4] == ("python3", "/serve.py", "--port", facts.base_url.rpartition(":")[2])
        assert facts.env["GGML_X"] == "1"
        assert facts.env["HF_TOKEN"] == "***"
        assert facts.container["cpus"] == "1.5"
        assert facts.container["memory_bytes"] == str(2 * 1024**3)
        assert facts.container["cap_add"].endswith("SYS_PTRACE")
        assert facts.settings["total_slots"] == "4"
        assert facts.settings["model_ftype"] == "Q4_1"
        assert facts.startup_s is not None
        assert facts.startup_s > 0
        assert facts.pids is not None
        assert "serve.py" in " ".join(psutil.Process(facts.pids[0]).cmdline())
    log = (tmp_path / "llamacpp-cpu-1.log").read_text()
    assert facts.log_path == str(tmp_path / "llamacpp-cpu-1.log")
    assert "initializing" in log.splitlines()[0]


@pytest.mark.parametrize(
    ("launch", "expected"),
    [
        ({}, 64 * MIB),
        ({"shm_size": "128MiB"}, 128 * MIB),
        ({"ipc": "host", "shm_size": "128MiB"}, None),
    ],
    ids=["default", "shm_size", "ipc host makes shm_size meaningless"],
)
def test_shm_is_what_the_inside_sees(
    docker_spec: MakeSpec, tmp_path: Path, launch: dict[str, Any], expected: int | None
) -> None:
    host = os.statvfs("/dev/shm")
    with start(docker_spec(**launch), log_dir=tmp_path) as server:
        assert server.facts.shm_bytes == (expected or host.f_blocks * host.f_frsize)


def test_two_launches_differ_only_in_the_treatment(docker_spec: MakeSpec, tmp_path: Path) -> None:
    arms = []
    for launch in ({}, {"shm_size": "128MiB"}):
        with start(docker_spec(**launch), log_dir=tmp_path) as server:
            arms.append(server.facts)
    a, b = arms
    assert (a.args, a.env, a.image_id, a.settings) == (b.args, b.env, b.image_id, b.settings)
    assert {key for key in a.container if a.container[key] != b.container[key]} == {"shm_size_bytes"}


def test_missing_image_is_named_and_not_pulled(docker_spec: MakeSpec, tmp_path: Path) -> None:
    """An image that is not on this machine is named, and never pulled."""
    with (
        pytest.raises(ImageMissing, match=r"image nobody/nothing:7 .* docker pull nobody/nothing:7"),
        start(docker_spec(image="nobody/nothing:7"), log_dir=tmp_path),
    ):
        pass


def test_missing_model_is_named_by_its_host_path(docker_spec: MakeSpec, tmp_path: Path) -> None:
    """A missing model file is named by its path on the host."""
    spec = docker_spec(volumes=[f"{tmp_path}:/models:ro"], args=["--model", "/models/big.gguf"])
    with pytest.raises(ModelMissing, match=re.escape(f"{tmp_path}/big.gguf")), start(spec, log_dir=tmp_path):
        pass


def test_a_mounted_folder_that_is_not_here_is_not_made(docker_spec: MakeSpec, tmp_path: Path) -> None:
    spec = docker_spec(volumes=[f"{tmp_path}/none:/models"])
    with pytest.raises(ModelMissing, match=re.escape(f"{tmp_path}/none")), start(spec, log_dir=tmp_path):
        pass
    assert not (tmp_path / "none").exists()


def test_a_taken_port_names_its_holder(
    docker_spec: MakeSpec, free_port: int, tmp_path: Path, containers: Callable[[], list[str]]
) -> None:
    with socket.create_server(("127.0.0.1", free_port)):
        expected = f"port {free_port} is in use by pid {os.getpid()}: .*pytest"
        with pytest.raises(PortTaken, match=expected), start(docker_spec(), log_dir=tmp_path):
            pass
    assert containers() == []


@pytest.mark.parametrize(
    ("args", "code", "cause"),
    [
        (["--model", "/models/bad.gguf"], 1, r"invalid magic characters: 'junk'"),
        (["--swap-space", "16"], 2, r"unrecognized arguments: --swap-space 16"),
    ],
)
def test_exit_during_start_gives_the_root_cause(
    docker_spec: MakeSpec,
    tmp_path: Path,
    args: list[str],
    code: int,
    cause: str,
    containers: Callable[[], list[str]],
) -> None:
    """A server that exits while it loads is reported with the root cause."""
    (tmp_path / "bad.gguf").write_text("junk")
    spec = docker_spec(volumes=[f"{tmp_path}:/models:ro"], args=args)
    with pytest.raises(ServerExited, match=cause) as raised, start(spec, log_dir=tmp_path):
        pass
    assert raised.value.exit_code == code
    assert re.search(cause, raised.value.root_cause)
    assert "Hint: " in str(raised.value)
    assert containers() == []


def test_a_container_over_its_memory_limit_says_so(docker_spec: MakeSpec, tmp_path: Path) -> None:
    with (
        pytest.raises(ServerExited, match="over its memory limit"),
        start(docker_spec(memory="40MiB"), log_dir=tmp_path),
    ):
        pass


def test_server_never_ready_reports_its_last_answer(
    docker_spec: MakeSpec, free_port: int, tmp_path: Path, containers: Callable[[], list[str]]
) -> None:
    """A server that never becomes ready is reported with its last answer."""
    spec = docker_spec(top={"start_timeout": "1s"}, entrypoint="python3", args=["-c", "import time; time.sleep(99)"])
    with (
        pytest.raises(ServerNotReady, match=r"limit 1s.*connection refused.*start_timeout") as raised,
        start(spec, log_dir=tmp_path),
    ):
        pass
    assert raised.value.last_seen == f"GET http://127.0.0.1:{free_port}/health: connection refused"
    assert containers() == []


def test_what_docker_refuses_is_passed_on(
    docker_spec: MakeSpec, tmp_path: Path, containers: Callable[[], list[str]]
) -> None:
    with (
        pytest.raises(LaunchError, match=r"start its container.*no-such-program"),
        start(docker_spec(entrypoint="no-such-program"), log_dir=tmp_path),
    ):
        pass
    assert containers() == []


def test_a_model_that_is_not_served_lists_what_is(
    docker_spec: MakeSpec, tmp_path: Path, containers: Callable[[], list[str]]
) -> None:
    spec = docker_spec(top={"model": {"id": "SmolLM2-360M"}}, args=["--port", "{port}", "--alias", "smollm2-135m"])
    with (
        pytest.raises(LaunchError, match=r"`SmolLM2-360M` is not served.*lists smollm2-135m\..*`smollm2-135m`"),
        start(spec, log_dir=tmp_path),
    ):
        pass
    assert containers() == []


def test_server_killed_between_requests_is_noticed(
    docker_spec: MakeSpec, docker_engine: DockerClient, tmp_path: Path, containers: Callable[[], list[str]]
) -> None:
    """A server killed between two requests is noticed."""
    with start(docker_spec(), log_dir=tmp_path) as server:
        server.check_alive()
        docker_engine.containers.get(containers()[0]).kill()
        with pytest.raises(ServerExited, match=r"while it was in use.*SIGKILL") as raised:
            server.check_alive()
        assert raised.value.log_path == tmp_path / "llamacpp-cpu-1.log"
        docker_engine.containers.get(containers()[0]).remove(force=True)
        with pytest.raises(ServerExited, match="container was removed"):
            server.check_alive()


def test_an_exception_inside_ends_the_container(
    docker_spec: MakeSpec, tmp_path: Path, containers: Callable[[], list[str]]
) -> None:
    def use() -> None:
        with start(docker_spec(), log_dir=tmp_path):
            assert len(containers()) == 1
            raise ZeroDivisionError("in the middle of a measurement")

    with pytest.raises(ZeroDivisionError, match="in the middle"):
        use()
    assert containers() == []


def test_missing_daemon_is_reported_with_a_remedy(
    docker_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing daemon is reported with a remedy, and nothing is removed."""
    spec = docker_spec()
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with (
        pytest.raises(DockerUnavailable, match=r"the Docker daemon does not answer.*systemctl start docker"),
        start(spec, log_dir=tmp_path),
    ):
        pass
    assert sweep() == Leftovers()


@pytest.fixture
def holder(docker_spec: MakeSpec, free_port: int, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another program that holds a ready server."""
    override = json.dumps({"launch": {"port": free_port}})
    program = Path(__file__).with_name("hold_server.py")
    with subprocess.Popen(
        [sys.executable, program, "llamacpp-cpu", override, tmp_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip().isdecimal()
        yield process
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_run_that_is_told_to_end_leaves_nothing(
    holder: subprocess.Popen[str], containers: Callable[[], list[str]], number: signal.Signals
) -> None:
    assert len(containers()) == 1
    holder.send_signal(number)
    holder.wait(30)
    assert containers() == []


def guardian_of(pid: int) -> psutil.Process:
    """The guardian of the process with this pid."""
    words = ["tokgate.launch.guardian.process", str(pid)]
    (found,) = (one for one in psutil.process_iter(["cmdline"]) if (one.info["cmdline"] or [])[-2:] == words)
    return found


def test_sweep_removes_only_leftovers(
    holder: subprocess.Popen[str],
    catalogue: Any,
    tmp_path: Path,
    containers: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The sweep removes what a killed run left whose guardian was killed too, and only in its own folder."""
    (orphan,) = containers()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with start(catalogue.server("llamacpp-cpu", {"launch": {"port": port}}), log_dir=tmp_path) as alive:
        (ours,) = set(containers()) - {orphan}
        found = sweep()
        assert not {f"container {orphan}", f"container {ours}"} & set(found.ended)
        for name, owner in ((orphan, holder.pid), (ours, os.getpid())):
            (line,) = (line for line in found.left if name in line)
            assert f"its run is alive: pid {owner} of " in line
        guardian_of(holder.pid).kill()
        holder.kill()
        holder.wait(30)
        assert set(containers()) == {orphan, ours}
        with monkeypatch.context() as elsewhere:
            elsewhere.chdir(tmp_path)
            (line,) = (line for line in sweep().left if orphan in line)
            assert f"another user or folder has to remove it: pid {holder.pid} of " in line
        assert f"container {orphan}" in sweep().ended
        assert containers() == [ours]
        alive.check_alive()


class Relay:
    """Stands between a client and the engine's socket until it is cut, as when the engine stops."""

    def __init__(self, path: Path) -> None:
        self._sockets: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._path = path
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                ours, _ = self._listener.accept()
            except OSError:
                return
            theirs = socket.socket(socket.AF_UNIX)
            theirs.connect("/var/run/docker.sock")
            self._sockets += [ours, theirs]
            for source, sink in ((ours, theirs), (theirs, ours)):
                threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    @staticmethod
    def _copy(source: socket.socket, sink: socket.socket) -> None:
        try:
            while piece := source.recv(65536):
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def cut(self) -> None:
        self._path.unlink()
        for each in (self._listener, *self._sockets):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            each.close()


def test_stopped_daemon_is_reported_and_does_not_hang(
    docker_spec: MakeSpec,
    docker_engine: DockerClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    containers: Callable[[], list[str]],
) -> None:
    """A daemon that stops during the run is reported, and nothing hangs."""
    spec = docker_spec()
    relay = Relay(tmp_path / "docker.sock")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")

    def use() -> None:
        with start(spec, log_dir=tmp_path) as server:
            relay.cut()
            with pytest.raises(DockerUnavailable, match="check whether its container runs"):
                server.check_alive()

    try:
        with pytest.raises(DockerUnavailable, match=r"remove container tokgate-llamacpp-cpu-\w+, .* may still run"):
            use()
    finally:
        for name in containers():
            docker_engine.containers.get(name).remove(force=True)
