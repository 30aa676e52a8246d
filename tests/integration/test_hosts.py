"""The suite over many boxes: two Docker daemons of this machine, and one that is reached by ssh."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from docker import DockerClient

from tokgate.launch.docker.daemon import LABEL

ROOT = Path(__file__).parents[2]
IMAGE = "tokgate/llama-cpu"
ENGINE_S = 30
pytestmark = pytest.mark.timeout(280)


@pytest.fixture(scope="module")
def second_host(docker_engine: DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`unix://` of an engine of our own beside the machine's, with the same test image."""
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        pytest.skip("a second engine needs root and dockerd")
    home = tmp_path_factory.mktemp("engine")
    places = {"data-root": "data", "exec-root": "exec", "pidfile": "pid"}
    command = [
        *("dockerd", "--bridge=none", "--iptables=false", "--ip6tables=false", f"--host=unix://{home}/sock"),
        *(f"--{option}={home / name}" for option, name in places.items()),
    ]
    with (home / "log").open("w") as log:
        engine = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.perf_counter() + ENGINE_S
        while not (home / "sock").exists():
            assert engine.poll() is None, (home / "log").read_text()
            assert time.perf_counter() < deadline, (home / "log").read_text()
            time.sleep(0.1)
        with closing(DockerClient(base_url=f"unix://{home}/sock", timeout=60)) as client:
            client.images.load(b"".join(docker_engine.images.get(IMAGE).save(named=True)))
        yield f"unix://{home}/sock"
    finally:
        engine.terminate()
        engine.wait(ENGINE_S)
        # It leaves the network's name space mounted, and then nobody can remove the folder.
        subprocess.run(["umount", home / "exec" / "netns" / "default"], capture_output=True, check=False)


@pytest.fixture(scope="module")
def second_engine(second_host: str) -> Iterator[DockerClient]:
    with closing(DockerClient(base_url=second_host, timeout=60)) as client:
        yield client


@contextmanager
def watched(*engines: DockerClient) -> Iterator[Callable[[], list[tuple[int, str]]]]:
    """Starts and ends of tokgate's servers since, in the order of time: (number of the engine, what)."""
    since = time.time_ns()

    def happened() -> list[tuple[int, str]]:
        until = time.time_ns()
        seen = []
        for at, engine in enumerate(engines):
            filters = {
                "type": "container",
                "event": ["start", "die"],
                "label": ["tokgate.server=llamacpp-cpu"],
            }
            events = engine.events(since=_seconds(since), until=_seconds(until), filters=filters, decode=True)
            seen += [(one["timeNano"], at, one["Action"]) for one in events]
        return [(at, what) for _, at, what in sorted(seen)]

    yield happened


def _seconds(nanoseconds: int) -> Any:
    """As Docker's API takes it; docker-py's types allow whole seconds only."""
    return f"{nanoseconds // 10**9}.{nanoseconds % 10**9:09}"


@pytest.fixture
def container_project(project: Any) -> Any:
    """Two launches of the container under one small workload, judged by one metric."""
    project.profile("container", "llamacpp-cpu", "brief", launches=2)
    return project


@pytest.fixture
def hosts(second_host: str) -> str:
    local = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    return f"{local},{second_host}"


@pytest.mark.long
def test_two_daemons_never_serve_at_once(
    docker_engine: DockerClient, second_engine: DockerClient, hosts: str, container_project: Any
) -> None:
    """Two daemons of one machine are two boxes, and never serve at once."""
    project = container_project
    with watched(docker_engine, second_engine) as happened:
        finished = project.perf(
            *("--tokgate-profile", "container", "-k", "decode_tps", f"--tokgate-hosts={hosts}"),
            *("--tokgate-out", "runs", "--tokgate-report=report"),
        )
        events = happened()
    assert sorted(at for at, what in events if what == "start") == [0, 0, 1, 1], finished.output
    assert [what for _, what in events] == ["start", "die"] * 4, "a server was up while another was"
    assert len({at for at, _ in events[:4]}) == 1, "the engines take turns, a whole session each"

    record = project.record()
    assert record["measurements"] == record["verdicts"] == []
    assert [box["host"] for box in record["boxes"]] == hosts.split(",")
    for box in record["boxes"]:
        own = box["record"]
        assert [one["launch"] for one in own["measurements"]] == [1, 2]
        assert [one["metric"] for one in own["verdicts"]] == ["decode_tps"]
        assert own["fingerprint"]["facts"]["cpu_model"]
        place = Path(box["place"])
        assert place.is_file(), "each keeps its own record"
        assert box["host"] in finished.output
        assert (place.parent / "logs").is_dir()
    valid = all(one["valid"] for box in record["boxes"] for one in box["record"]["measurements"])
    assert finished.code == (0 if valid else 6), finished.output
    assert "2 boxes side by side" in finished.output
    page = (project.folder / "report" / "report.html").read_text()
    assert "Boxes side by side" in page

    history = project.tokgate("history", "--server", "llamacpp-cpu")
    assert history.code == 0, history.output
    refused = project.tokgate("baseline", "accept", "latest")
    if valid:  # the boxes are one machine, which has one baseline
        assert refused.code == 3
        assert "would be the baseline of two boxes" in refused.output


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda one: one.name)
def test_interrupt_leaves_nothing_running(
    docker_engine: DockerClient,
    second_engine: DockerClient,
    hosts: str,
    container_project: Any,
    eventually: Callable[[Callable[[], bool]], None],
    sent: signal.Signals,
) -> None:
    """An interrupt leaves no server, no process and no lease."""

    def servers() -> list[Any]:
        found = [engine.containers.list(filters={"label": f"{LABEL}=1"}) for engine in (docker_engine, second_engine)]
        return [one for listed in found for one in listed if str(container_project.folder) in one.labels["tokgate.run"]]

    process = container_project.start("--tokgate-profile", "container", f"--tokgate-hosts={hosts}")
    eventually(lambda: bool(servers()))
    workers = psutil.Process(process.pid).children()
    process.send_signal(sent)
    if sent is signal.SIGKILL:  # the workers see that nobody leads them, and end as by Ctrl-C
        psutil.wait_procs(workers, timeout=60)
    output, _ = process.communicate(timeout=60)
    assert servers() == []
    assert not any(worker.is_running() for worker in workers)
    if sent is signal.SIGKILL:
        return
    assert process.returncode == pytest.ExitCode.INTERRUPTED, output
    record = container_project.record()
    assert record["ended"] is None
    assert record["not_checked"], "both were cut off, and it says so"


@pytest.fixture
def ssh_box(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, free_port: int) -> Iterator[str]:
    """Where this user reaches this machine by ssh, with keys and a daemon made for it: `ssh://USER@HOST:PORT`."""
    daemon = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
    if daemon is None:
        pytest.skip("no sshd: apt-get install openssh-server")
    home = tmp_path_factory.mktemp("ssh")
    for key in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", home / key], check=True)
    shutil.copy(home / "user.pub", home / "authorized")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where root's daemon keeps its unprivileged half
    options = (
        f"Port={free_port}",
        "ListenAddress=127.0.0.1",
        f"HostKey={home / 'host'}",
        f"AuthorizedKeysFile={home / 'authorized'}",
        *("StrictModes=no", "UsePAM=no", "PermitRootLogin=yes", "PasswordAuthentication=no", "PidFile=none"),
    )
    (home / "bin").mkdir()
    ssh = home / "bin" / "ssh"
    asked = f"-F none -i {home / 'user'} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
    ssh.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} {asked} -o LogLevel=ERROR "$@"\n')
    ssh.chmod(0o755)
    command = [daemon, "-D", "-f", "/dev/null", "-E", str(home / "log"), *(f"-o{one}" for one in options)]
    serving = subprocess.Popen(command, start_new_session=True)
    monkeypatch.setenv("PATH", f"{ssh.parent}:{os.environ['PATH']}")
    url = f"ssh://{getpass.getuser()}@127.0.0.1:{free_port}"
    try:
        deadline = time.perf_counter() + ENGINE_S
        while subprocess.run([ssh, "-p", str(free_port), "127.0.0.1", "true"], check=False).returncode:
            assert time.perf_counter() < deadline, (home / "log").read_text()
            time.sleep(0.1)
        yield url
    finally:
        serving.terminate()
        serving.wait(ENGINE_S)


@pytest.fixture
def elsewhere(project: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another checkout of the same project, set up as `./ci/perf.sh` does it."""
    there = tmp_path_factory.mktemp("elsewhere") / "tokgate"
    shutil.copytree(project.folder, there)
    (there / ".venv").symlink_to(sys.prefix)
    return there


def test_ssh_box_measures_and_returns_its_record(ssh_box: str, elsewhere: Path, project: Any) -> None:
    """A box reached by ssh measures there and returns its record."""
    host = f"{ssh_box}{elsewhere}"
    # Arguments that are paths here are none there; and both words of an option are this command's.
    args = ("tests/perf/test_speed.py", "--tokgate-out", "runs", "-k", "measure or decode_tps")
    finished = project.perf("--tokgate-profile", "brief", *args, "--tokgate-hosts", host)
    (box,) = project.record()["boxes"]
    own = box["record"]
    assert [one["launch"] for one in own["measurements"]] == [1, 2], finished.output
    valid = all(one["valid"] for one in own["measurements"])
    assert finished.code == (0 if valid else 6), finished.output
    kept = elsewhere / "runs" / own["run_id"]
    assert box["place"] == f"{host}: {kept / 'run.json'}"
    assert (kept / "logs" / "embedded-smollm2-1.log").is_file()
    assert (kept / "benchmark.json").is_file(), "a box is an ordinary session, which may time"
    assert {path.name for path in elsewhere.iterdir() if path.name.strip("._") == path.name} == {
        *("conftest.py", "pyproject.toml", "fixtures", "tests", "runs"),
    }, "nothing was copied there"


@pytest.mark.long
def test_lost_box_is_reported_and_keeps_its_record(
    ssh_box: str, elsewhere: Path, project: Any, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    """A box that is lost is reported, and keeps its own record."""
    process = project.start("--tokgate-profile", "brief", f"--tokgate-hosts={ssh_box}{elsewhere}")
    eventually(lambda: b'"gated"' in b"".join(one.read_bytes() for one in elsewhere.glob("runs/*/run.json")))
    (connection,) = (one for one in psutil.Process(process.pid).children() if one.name() == "ssh")
    connection.kill()
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 6, output
    (told,) = project.record()["not_checked"]
    (kept,) = elsewhere.glob("runs/*/run.json")
    assert told.startswith(f"{ssh_box}{elsewhere}: the connection was lost"), told
    assert told.endswith(str(kept)), told
    here = str(elsewhere)
    eventually(lambda: not [one for one in psutil.process_iter(["cwd"]) if one.info["cwd"] == here])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda there: shutil.move(there, f"{there}-gone"), "there is no folder"),
        (lambda there: (there / ".venv").unlink(), "there is no .venv in"),
        (
            lambda there: (there / "fixtures" / "workloads" / "brief.yaml").unlink(),
            "its checkout differs: fixtures ",
        ),
    ],
    ids=["no checkout", "not set up", "other fixtures"],
)
def test_unusable_box_is_named_before_the_start(
    ssh_box: str, elsewhere: Path, project: Any, spoil: Callable[[Path], object], message: str
) -> None:
    """A box that cannot measure is named before anything starts."""
    spoil(elsewhere)
    finished = project.perf("--tokgate-profile", "brief", f"--tokgate-hosts={ssh_box}{elsewhere}")
    assert finished.code == pytest.ExitCode.USAGE_ERROR
    assert f"{ssh_box}{elsewhere}: {message}" in finished.output
    assert "Next: " in finished.output
    assert "Traceback" not in finished.output
    assert project.runs == []


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ssh://127.0.0.1:1/x", "ssh failed: "),
        ("unix:///nowhere/docker.sock", "the Docker daemon does not answer: No such file or directory"),
    ],
)
def test_a_box_that_is_not_there_is_named(project: Any, url: str, message: str) -> None:
    finished = project.perf("--tokgate-profile", "brief", f"--tokgate-hosts={url}")
    assert finished.code == pytest.ExitCode.USAGE_ERROR
    assert f"{url}: {message}" in finished.output
    assert "Traceback" not in finished.output
