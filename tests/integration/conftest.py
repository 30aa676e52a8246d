"""What the tests on real engines share: the declared servers, a Docker daemon, and waiting without sleeping blindly."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import docker
import pytest
from docker import DockerClient
from docker.errors import DockerException, ImageNotFound

from tokgate.config.catalogue import Catalogue
from tokgate.config.server import ServerSpec
from tokgate.measure.quiet import PASSING

ROOT = Path(__file__).parents[2]
CANARY = "canary.jsonl"
IMAGE = "tokgate/llama-cpu"

UNDISTURBED = """

import msgspec
import tokgate.suite.case as case
import tokgate.suite.live as live

def measure_case(*args, _measure=live.measure_case, **named):
    found = _measure(*args, **named)
    problems = tuple(one for one in found.problems if one.rule not in {rules})
    return msgspec.structs.replace(found, problems=problems, valid=not problems)

live.measure_case = measure_case
case.is_disturbed = lambda problems: False  # no pass is repeated on a quieter host
"""
"""For a project's conftest.py: what other programs on this machine do to a measurement is not the point here."""


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
        _without(f"the Docker daemon does not answer: {error}")
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
def docker_spec(docker_engine: DockerClient, catalogue: Catalogue, free_port: int) -> Callable[..., ServerSpec]:
    """`llamacpp-cpu` on a free port; keywords change its `launch`, `top` what stands beside that."""

    def spec(*, top: dict[str, Any] | None = None, **launch: Any) -> ServerSpec:
        return catalogue.server("llamacpp-cpu", {**(top or {}), "launch": {"port": free_port, **launch}})

    return spec


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    """Wait until something becomes true; a limit far above what it takes turns a hang into a failure."""

    def wait(holds: Callable[[], bool]) -> None:
        deadline = time.perf_counter() + 90
        while not holds():
            assert time.perf_counter() < deadline, "it never came true"
            time.sleep(0.05)

    return wait


class Project:
    """A folder with the suite of this repository and small specs of its own, driven as a person drives it."""

    DISTURBED = PASSING | {"host_throttled", "client_bias"}
    """Rules that other programs on this machine can break."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._started: list[subprocess.Popen[str]] = []

    def close(self) -> None:
        """End what a failed test left running; its servers end with it."""
        for process in self._started:
            process.kill()
            process.communicate()

    @classmethod
    def make(cls, folder: Path) -> Project:
        """The suite, its options and fixtures, copied; workload `brief` takes a second.

        No canary questions are asked, which would take most of so short a launch: see `ask_canaries`.
        """
        shutil.copytree(ROOT / "tests" / "perf", folder / "tests" / "perf")
        skipped = shutil.ignore_patterns("*.whl", "__pycache__", CANARY)
        shutil.copytree(ROOT / "fixtures", folder / "fixtures", ignore=skipped)
        for name in ("conftest.py", "pyproject.toml"):
            shutil.copy(ROOT / name, folder)
        # One thread each: two that wait for each other stand still when a test of another program takes a core.
        embedded = folder / "fixtures" / "servers" / "embedded-smollm2.yaml"
        embedded.write_text(embedded.read_text().replace("parallel: 4", "parallel: 4\n  threads: 1"))
        container = folder / "fixtures" / "servers" / "llamacpp-cpu.yaml"
        container.write_text(container.read_text().replace("args: [", 'args: [--threads, "1", '))
        project = cls(folder)
        project.workload("brief", requests=2, max_tokens=32)
        project.profile("brief", "embedded-smollm2", "brief", launches=2)
        return project

    def ignore_disturbances(self) -> None:
        """Let nothing that another program does make a measurement invalid."""
        conftest = self.folder / "conftest.py"
        conftest.write_text(conftest.read_text() + UNDISTURBED.replace("{rules}", repr(set(self.DISTURBED))))

    def ask_canaries(self) -> None:
        """Ask each launch the project's own canary questions."""
        shutil.copy(ROOT / "fixtures" / "prompts" / CANARY, self.folder / "fixtures" / "prompts")

    def workload(self, name: str, *, requests: int, max_tokens: int, prompts: str = "short-chat") -> None:
        """Declare one user's workload."""
        declared = f"description: of a test\nprompts: {prompts}\nrequests: {requests}\nmax_tokens: {max_tokens}\n"
        (self.folder / "fixtures" / "workloads" / f"{name}.yaml").write_text(declared)

    def hypothesis(self, name: str, **keys: Any) -> None:
        """Declare a hypothesis under `brief` (YAML holds JSON), and a profile of that name that tests it alone."""
        common = "title: of a test\nsource: this test\nworkload: brief\nrival: the rival explanation\n"
        text = common + "".join(f"{key}: {json.dumps(value)}\n" for key, value in keys.items())
        fixtures = self.folder / "fixtures"
        (fixtures / "hypotheses" / f"{name}.yaml").write_text(text)
        (fixtures / "profiles" / f"{name}.yaml").write_text(f"description: of a test\nhypotheses: [{name}]\n")

    def profile(self, name: str, server: str, *workloads: str, launches: int) -> None:
        """Declare one server under these workloads."""
        cells = f"cells:\n  - servers: [{server}]\n    workloads: [{', '.join(workloads)}]\n"
        declared = f"description: of a test\nlaunches: {launches}\n{cells}"
        (self.folder / "fixtures" / "profiles" / f"{name}.yaml").write_text(declared)

    def start(self, *args: str, **options: Any) -> subprocess.Popen[str]:
        """`pytest -m perf ARGS`, running; stdout and stderr are one pipe."""
        command = (sys.executable, "-m", "pytest", "-m", "perf", *args)
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # signals meant for it reach nobody else
            **{"stdout": subprocess.PIPE, **options},
        )
        self._started.append(process)
        return process

    def perf(self, *args: str, **options: Any) -> Finished:
        """`pytest -m perf ARGS`, to its end."""
        process = self.start(*args, **options)
        output, _ = process.communicate(timeout=240)
        return Finished(process.returncode, output)

    def quiet_perf(self, *args: str) -> Finished:
        """The same, again when it is invalid for what else ran on this host and for nothing else."""
        for _ in range(5):
            finished = self.perf(*args)
            rules = {problem["rule"] for one in self.record()["measurements"] for problem in one["problems"]}
            if not rules or not rules <= self.DISTURBED:
                return finished
        pytest.fail(f"this host was never quiet enough to measure on: {finished.output}")

    def tokgate(self, *args: str, timeout: float = 240, env: dict[str, str] | None = None) -> Finished:
        """The `tokgate` command, to its end; in `output`, stderr follows stdout."""
        command = (str(Path(sys.executable).with_name("tokgate")), *args)
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=timeout, env=env)
        return Finished(done.returncode, done.stdout + done.stderr, done.stdout)

    @property
    def runs(self) -> list[Path]:
        """Folders of the runs so far that have a record, oldest first by when they were written."""
        found = [path.parent for path in self.folder.glob("runs/*/run.json")]
        return sorted(found, key=lambda run: (run / "run.json").stat().st_mtime_ns)

    def verdicts(self) -> list[dict[str, Any]]:
        """Those of the gate in the newest run."""
        return [verdict for verdict in self.record()["verdicts"] if verdict["kind"] == "gate"]

    def record(self) -> dict[str, Any]:
        """The newest run.json."""
        read: dict[str, Any] = json.loads((self.runs[-1] / "run.json").read_bytes())
        return read


class Finished(NamedTuple):
    """What a command gave: its exit code, all it said, and, where the two were kept apart, what a program would read."""

    code: int
    output: str
    stdout: str = ""


@pytest.fixture(scope="session")
def make_project() -> Callable[[Path], Project]:
    """Puts a project with the suite into a folder."""
    return Project.make


@pytest.fixture
def other(project: Project) -> str:
    """Another server of the project: the embedded one with less context."""
    servers = project.folder / "fixtures" / "servers"
    declared = (servers / "embedded-smollm2.yaml").read_text()
    (servers / "other.yaml").write_text(declared.replace("threads: 1", "threads: 1\n  context: 512"))
    return "other"


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A project with the suite in it, of which nothing ran yet."""
    with closing(Project.make(tmp_path)) as project:
        yield project
