"""A run that is killed leaves nothing: no container, running or paused, no process, running or stopped."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from docker import DockerClient

from tokgate._exceptions import ServerExited
from tokgate.launch.docker.sweep import remove
from tokgate.launch.guardian.client import Process, guarded
from tokgate.launch.start import start
from tokgate.machine.leftovers import OWNER_VARIABLE
from tokgate.machine.owner import read_owner
from tokgate.machine.processes import read_process

PROMISE_S = 10
"""Within this time everything is gone."""
Eventually = Callable[[Callable[[], bool]], None]
Kill = Callable[[int], None]

pytestmark = pytest.mark.timeout(400)

# Two servers next to each other: the first is frozen, and the second works until the end.
PAIR = """
import sys, time
from pathlib import Path
from urllib.request import Request, urlopen
from tokgate.config.catalogue import Catalogue
from tokgate.launch.idle import freeze
from tokgate.launch.port import move_port
from tokgate.launch.start import start

ROOT, NAME, PORT, HERE = Path({root!r}), {name!r}, {port}, Path(__file__).parent

def test_pair():
    override = {{"launch": {{"port": PORT}}}} if NAME == "llamacpp-cpu" else {{"launch": {{"threads": 1}}}}
    spec = Catalogue(ROOT / "fixtures").server(NAME, override)
    with start(spec, log_dir=HERE / "logs") as waiting:
        with start(move_port(spec, taken={{PORT}}), log_dir=HERE / "logs") as working:
            freeze(waiting)
            body = b'{{"prompt": "Once", "max_tokens": 9000, "stream": true}}'
            request = Request(f"{{working.facts.base_url}}/v1/completions", body, {{"Content-Type": "application/json"}})
            with urlopen(request) as answer:
                answer.readline()
                (HERE / "ready").touch()
                for _ in answer:
                    pass
            time.sleep(100)
"""


def kill_process(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def kill_group(pid: int) -> None:
    os.killpg(pid, signal.SIGKILL)


def hang_up(pid: int) -> None:
    os.kill(pid, signal.SIGHUP)


def terminate(pid: int) -> None:
    os.kill(pid, signal.SIGTERM)


def interrupt_twice(pid: int) -> None:
    """The second Ctrl-C comes while the servers are being ended."""
    os.kill(pid, signal.SIGINT)
    time.sleep(0.3)
    os.kill(pid, signal.SIGINT)


@pytest.fixture
def left(docker_engine: DockerClient, tmp_path: Path) -> Callable[[int], list[str]]:
    """What a run of this test has left: containers and servers, each in a word."""

    def find(run: int) -> list[str]:
        found: list[str] = []
        listed = docker_engine.containers.list(all=True, filters={"label": "tokgate=1"}, ignore_removed=True)
        found += [
            f"{container.status} container {container.name}"
            for container in listed
            if container.labels["tokgate.run"].startswith(str(tmp_path))
        ]
        for process in psutil.process_iter():
            try:
                owner = read_owner(process.environ().get(OWNER_VARIABLE))
                if owner is not None and owner.pid == run and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(f"{process.status()} server {process.pid}")
            except psutil.Error:
                continue
        return found

    return find


@pytest.fixture
def eventually() -> Eventually:
    """Wait until something becomes true, also while another suite of this machine has to end first."""

    def wait(holds: Callable[[], bool]) -> None:
        deadline = time.perf_counter() + 300
        while not holds():
            assert time.perf_counter() < deadline, "it never came true"
            time.sleep(0.05)

    return wait


def wait_until_gone(run: subprocess.Popen[Any], left: Callable[[int], list[str]]) -> float:
    """Seconds until nothing is left. A run that ends by itself must also have ended then."""
    began = time.perf_counter()
    while (found := left(run.pid)) or run.poll() is None:
        assert time.perf_counter() - began < PROMISE_S, found or "the run still lives"
        time.sleep(0.1)
    return time.perf_counter() - began


@pytest.fixture
def pair(tmp_path: Path, free_port: int) -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """pytest with a test that holds two servers, of which the first is frozen and the second works."""
    started = []

    def hold(name: str) -> subprocess.Popen[bytes]:
        file = tmp_path / "test_pair.py"
        file.write_text(PAIR.format(root=str(Path(__file__).parents[2]), name=name, port=free_port))
        with (tmp_path / "output").open("w") as output:
            command = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(file))
            process = subprocess.Popen(command, cwd=tmp_path, stdout=output, stderr=output, start_new_session=True)
        started.append(process)
        return process

    yield hold
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.parametrize("name", ["llamacpp-cpu", "embedded-smollm2"])
@pytest.mark.parametrize(
    "end", [kill_process, kill_group, hang_up, terminate, interrupt_twice], ids=lambda end: end.__name__
)
def test_end_with_a_frozen_server(
    pair: Callable[[str], subprocess.Popen[bytes]],
    left: Callable[[int], list[str]],
    tmp_path: Path,
    eventually: Eventually,
    name: str,
    end: Kill,
) -> None:
    """However pytest ends, neither the server that works nor the one that is frozen outlives it."""
    run = pair(name)
    eventually(lambda: (tmp_path / "ready").exists() or run.poll() is not None)
    assert run.poll() is None, (tmp_path / "output").read_text()
    assert len(left(run.pid)) == 2
    end(run.pid)
    print(f"{name}, {end.__name__}: gone after {wait_until_gone(run, left):.1f} s")
    eventually(lambda: guardian_of(run.pid) is None)
    log = tmp_path / "logs" / "guardian.log"
    if end in (kill_process, kill_group):
        written = re.findall(r": the run was killed$", log.read_text(), re.MULTILINE)
        # An embedded server that is not frozen may have ended with its stdin before.
        assert len(written) == 2 or (name == "embedded-smollm2" and len(written) == 1)


@pytest.fixture
def container_run(project: Any, free_port: int) -> Callable[..., subprocess.Popen[str]]:
    """The suite with a container: `brief` is measured first, and requests of `long` never end in time."""
    container = project.folder / "fixtures" / "servers" / "llamacpp-cpu.yaml"
    container.write_text(container.read_text().replace("port: 18091", f"port: {free_port}"))
    project.workload("long", requests=4, max_tokens=3000)
    project.profile("long", "llamacpp-cpu", "brief", "long", launches=1)

    def run(*args: str, **options: Any) -> subprocess.Popen[str]:
        process: subprocess.Popen[str] = project.start("--tokgate-profile", "long", *args, **options)
        return process

    return run


@pytest.mark.parametrize("end", [kill_process, kill_group], ids=lambda end: end.__name__)
@pytest.mark.parametrize("phase", ["starting", "requests"])
def test_killed_suite(
    container_run: Callable[..., subprocess.Popen[str]],
    project: Any,
    left: Callable[[int], list[str]],
    eventually: Eventually,
    phase: str,
    end: Kill,
) -> None:
    """pytest is killed while its container starts, and while requests run."""
    run = container_run(stdout=subprocess.DEVNULL)
    if phase == "starting":
        eventually(lambda: bool(left(run.pid)))
    else:
        eventually(lambda: bool(project.runs) and bool(project.record()["measurements"]))
    assert len(left(run.pid)) == 1
    end(run.pid)
    print(f"{phase}, {end.__name__}: gone after {wait_until_gone(run, left):.1f} s")
    if phase == "requests":
        assert [one["workload"] for one in project.record()["measurements"]] == ["brief"]


def test_lost_terminal(
    container_run: Callable[..., subprocess.Popen[str]],
    project: Any,
    left: Callable[[int], list[str]],
    eventually: Eventually,
) -> None:
    """When the terminal is lost, the run ends as by Ctrl-C: its record and report are kept, nothing is left."""
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    run = container_run("--tokgate-report", "report", stdin=theirs, stdout=theirs, preexec_fn=make_controlling)
    os.close(theirs)

    def is_measured() -> bool:
        with suppress(BlockingIOError):
            os.read(ours, 65536)
        return bool(project.runs) and bool(project.record()["measurements"])

    eventually(is_measured)
    os.close(ours)  # the kernel sends SIGHUP, and whatever is written from now on fails
    assert run.wait(60) == pytest.ExitCode.INTERRUPTED
    wait_until_gone(run, left)
    assert [one["workload"] for one in project.record()["measurements"]] == ["brief"]
    assert "The run was cut off after 1 measurement" in (project.folder / "report" / "report.md").read_text()


def make_controlling() -> None:
    """Make stdin the controlling terminal of this session."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def guardian_of(run: int) -> psutil.Process | None:
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.cmdline()[-2:] == ["tokgate.launch.guardian.process", str(run)]:
                return process
    return None


def test_guardian_outlives_what_ends_a_run(eventually: Eventually, tmp_path: Path) -> None:
    """It ignores signals, needs little, is no descendant of the run, and ends after it."""
    program = (
        "import sys; from tokgate.launch.guardian.client import Process, guarded\n"
        "with guarded(Process(pid=1, started=0, log_dir='/nowhere'), server='x'):\n"
        "    print('ready', flush=True); sys.stdin.read()"
    )
    command = (sys.executable, "-c", program)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"ready\n"
        guardian = guardian_of(run.pid)
        assert guardian is not None
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            guardian.send_signal(number)
        assert not psutil.Process(run.pid).children(recursive=True)
        assert os.getsid(guardian.pid) != os.getsid(run.pid)
        assert guardian.cwd() == "/"
        assert guardian.memory_info().rss < 30e6
        run.kill()
    eventually(lambda: guardian_of(run.pid) is None)
    assert psutil.pid_exists(1), "the process with that pid, but another start, was left alone"


def test_killed_guardian_is_replaced(eventually: Eventually, tmp_path: Path) -> None:
    """The next thing to guard starts another guardian, which knows of the earlier things too."""
    program = (
        "import subprocess, sys\n"
        "from tokgate.launch.guardian.client import Process, guarded\n"
        "from tokgate.machine.processes import read_process\n"
        "def sleeper():\n"
        "    child = subprocess.Popen(['sleep', '300'], stdin=subprocess.DEVNULL)\n"
        f"    return Process(pid=child.pid, started=read_process(child.pid).started, log_dir={str(tmp_path)!r})\n"
        "one, two = sleeper(), sleeper()\n"
        "with guarded(one, server='x'):\n"
        "    print(one.pid, two.pid, flush=True); sys.stdin.readline()\n"
        "    with guarded(two, server='x'):\n"
        "        print('ready', flush=True); sys.stdin.read()\n"
    )
    command = (sys.executable, "-c", program)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdin is not None
        assert run.stdout is not None
        sleepers = [psutil.Process(int(pid)) for pid in run.stdout.readline().split()]
        guardian = guardian_of(run.pid)
        assert guardian is not None
        guardian.kill()
        eventually(lambda: guardian_of(run.pid) is None)
        run.stdin.write("\n")
        run.stdin.flush()
        assert run.stdout.readline() == "ready\n"
        run.kill()
    eventually(lambda: not any(one.is_running() for one in sleepers))
    assert len((tmp_path / "guardian.log").read_text().splitlines()) == 2


def test_guarded_thing_that_is_not_gone_is_ended(eventually: Eventually, tmp_path: Path) -> None:
    """What the run cannot end itself, the guardian ends at once; what is gone, it never touches."""
    with subprocess.Popen(["sleep", "300"]) as given_up, subprocess.Popen(["sleep", "300"]) as gone:
        things = []
        for process in (given_up, gone):
            state = read_process(process.pid)
            assert state is not None
            things.append(Process(pid=process.pid, started=state.started, log_dir=str(tmp_path)))
        with guarded(things[1], server="x") as tell:
            tell()
        with guarded(things[0], server="x"):
            pass
        assert given_up.wait(30) == -signal.SIGKILL
        assert gone.poll() is None
        gone.kill()
    assert (tmp_path / "guardian.log").read_text().endswith(f"killed pid {given_up.pid}: the run could not end it\n")


def test_container_of_another_run_is_not_removed(
    docker_engine: DockerClient, docker_spec: Callable[..., Any], tmp_path: Path
) -> None:
    """A container with the same name and another label is left alone."""
    daemon = os.environ.get("DOCKER_HOST", "")
    with start(docker_spec(), log_dir=tmp_path) as server:
        (ours,) = docker_engine.containers.list(filters={"label": f"tokgate.run={tmp_path}"})
        assert not remove(str(ours.name), owner="another", daemon=daemon)
        server.check_alive()
        assert remove(str(ours.name), owner=ours.labels["tokgate.owner"], daemon=daemon)
        assert not remove(str(ours.name), owner=ours.labels["tokgate.owner"], daemon=daemon)
        with pytest.raises(ServerExited, match="container was removed"):
            server.check_alive()
