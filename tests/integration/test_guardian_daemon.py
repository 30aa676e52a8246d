"""The Docker daemon stops and comes back: what a run could not remove meanwhile is removed then."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import docker
import psutil
import pytest
from docker import DockerClient

PROMISE_S = 10
"""Within this time after the daemon answers again, everything is gone."""
START_S = 60
COPY_S = 200
IMAGE = "tokgate/llama-cpu"
pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]


class OwnDaemon:
    """A second Docker daemon of this machine, with the test image, that can be stopped and started again."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.host = f"unix://{home}/sock"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        places = {"data-root": "data", "exec-root": "exec", "pidfile": "pid"}
        command = [
            *("dockerd", "--bridge=none", "--iptables=false", "--ip6tables=false", f"--host={self.host}"),
            *(f"--{option}={self.home / name}" for option, name in places.items()),
        ]
        with (self.home / "log").open("a") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        deadline = time.perf_counter() + START_S
        while not (self.home / "sock").exists() or not self._answers():
            assert self._process.poll() is None, (self.home / "log").read_text()
            assert time.perf_counter() < deadline, (self.home / "log").read_text()
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            with closing(DockerClient(base_url=self.host, timeout=5)) as client:
                return bool(client.ping())
        except Exception:  # docker-py and requests have many words for it
            return False

    def stop(self, number: signal.Signals) -> None:
        assert self._process is not None
        containerd = self.home / "exec" / "containerd" / "containerd.pid"
        pid = int(containerd.read_text())
        self._process.send_signal(number)
        self._process.wait(START_S)
        with suppress(ProcessLookupError):  # the next daemon starts its own, and takes a zombie for a live one
            os.kill(pid, signal.SIGKILL)
        for file in (containerd, self.home / "sock"):
            file.unlink(missing_ok=True)

    def containers(self) -> list[Any]:
        with closing(DockerClient(base_url=self.host, timeout=30)) as client:
            return client.containers.list(all=True, filters={"label": "tokgate=1"}, ignore_removed=True)

    def wait_until_empty(self) -> float:
        began = time.perf_counter()
        while left := self.containers():
            assert time.perf_counter() - began < PROMISE_S, left
            time.sleep(0.1)
        return time.perf_counter() - began


@pytest.fixture(scope="module")
def daemon(docker_engine: DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnDaemon]:
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        pytest.skip("a second daemon needs root and dockerd")
    own = OwnDaemon(tmp_path_factory.mktemp("daemon"))
    own.start()
    try:
        with (
            closing(docker.from_env(timeout=COPY_S)) as source,
            closing(DockerClient(base_url=own.host, timeout=COPY_S)) as client,
        ):
            client.images.load(b"".join(source.images.get(IMAGE).save(named=True)))
        yield own
    finally:
        for container in own.containers():
            container.remove(force=True)
        own.stop(signal.SIGTERM)
        for mounted in ("exec/netns/default", "data"):  # else nobody can remove the folder
            subprocess.run(["umount", own.home / mounted], capture_output=True, check=False)


@pytest.fixture
def holder(
    daemon: OwnDaemon, tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> Iterator[subprocess.Popen[str]]:
    """A program that holds a server in a container of that daemon."""
    monkeypatch.setenv("DOCKER_HOST", daemon.host)
    program, override = Path(__file__).with_name("hold_server.py"), f'{{"launch": {{"port": {free_port}}}}}'
    with (
        (tmp_path / "output").open("w") as output,
        subprocess.Popen(
            [sys.executable, program, "llamacpp-cpu", override, tmp_path / "logs"],
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline().strip().isdecimal(), (tmp_path / "output").read_text()
        yield process
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_run_killed_while_the_daemon_is_away(
    daemon: OwnDaemon, holder: subprocess.Popen[str], tmp_path: Path, number: signal.Signals
) -> None:
    """The run is killed after the daemon; its container is removed when the daemon is back."""
    assert len(daemon.containers()) == 1
    daemon.stop(number)
    holder.kill()
    holder.wait(30)
    time.sleep(1)  # the guardian tries in vain
    daemon.start()
    print(f"gone {daemon.wait_until_empty():.1f} s after the daemon answered")
    log = (tmp_path / "logs" / "guardian.log").read_text()
    assert "yet: " in log
    assert log.endswith(": the run was killed\n")


def test_run_ends_while_the_daemon_is_away(
    daemon: OwnDaemon,
    holder: subprocess.Popen[str],
    tmp_path: Path,
    eventually: Callable[[Callable[[], bool]], None],
) -> None:
    """The run cannot remove its container, says so and ends; it is removed when the daemon is back."""
    assert len(daemon.containers()) == 1
    daemon.stop(signal.SIGKILL)
    holder.send_signal(signal.SIGINT)
    holder.wait(60)
    assert "remove container tokgate-llamacpp-cpu-" in (tmp_path / "output").read_text()
    daemon.start()
    daemon.wait_until_empty()
    assert (tmp_path / "logs" / "guardian.log").read_text().endswith(": the run could not end it\n")
    words = ["tokgate.launch.guardian.process", str(holder.pid)]
    eventually(
        lambda: not [one for one in psutil.process_iter(["cmdline"]) if (one.info["cmdline"] or [])[-2:] == words]
    )
