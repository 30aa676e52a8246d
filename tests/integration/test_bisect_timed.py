"""`tokgate bisect` on real containers whose images are slow from one on. They need the machine to themselves."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from docker import DockerClient

pytestmark = pytest.mark.long

BASE = "tokgate/llama-cpu"
REPOSITORY = "tokgate-test/bisect"
HALTING = """\
import os, signal, sys, time
child = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, "/serve.py", *sys.argv[1:]])
def end(*_):
    os.kill(child, signal.SIGKILL)
    os._exit(0)
signal.signal(signal.SIGTERM, end)
while os.waitpid(child, os.WNOHANG) == (0, 0):
    time.sleep(0.02)
    os.kill(child, signal.SIGSTOP)
    time.sleep(0.01)
    os.kill(child, signal.SIGCONT)
"""
"""The server of these images stands still for a third of the time."""


@pytest.fixture(scope="module")
def tags(docker_engine: DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerClient]:
    """Images v0, v1, v2 as the base; v3, v4 slow; `broken`, which does not start."""
    context = tmp_path_factory.mktemp("image")
    (context / "halting.py").write_text(HALTING)
    entry = {"v3": '["python3", "/halting.py"]', "v4": '["python3", "/halting.py"]'}
    entry["broken"] = '["python3", "/serve.py", "--no-such-option"]'
    made = ("v0", "v1", "v2", "v3", "v4", "broken")
    for tag in made:
        start = f"ENTRYPOINT {entry[tag]}\n" if tag in entry else ""
        (context / "Dockerfile").write_text(f"FROM {BASE}\nCOPY halting.py /\nENV BUILD={tag}\n{start}")
        docker_engine.images.build(path=str(context), tag=f"{REPOSITORY}:{tag}", network_mode="host", rm=True)
    yield docker_engine
    for tag in made:
        docker_engine.images.remove(f"{REPOSITORY}:{tag}", force=True)


@pytest.fixture
def options(project: Any, tags: DockerClient, free_port: int) -> Callable[..., tuple[str, ...]]:
    declared: Path = project.folder / "fixtures" / "servers" / "llamacpp-cpu.yaml"
    declared.write_text(declared.read_text().replace("port: 18091", f"port: {free_port}"))

    def given(good: str, bad: str, *between: str) -> tuple[str, ...]:
        ends = ("--good", f"{REPOSITORY}:{good}", "--bad", f"{REPOSITORY}:{bad}")
        cell = ("--server", "llamacpp-cpu", "--workload", "brief", "--metric", "decode_tps")
        return ("bisect", *ends, "--tags", ",".join(between), *cell)

    return given


def test_the_first_slow_image_is_found_and_kept(project: Any, options: Callable[..., tuple[str, ...]]) -> None:
    done = project.tokgate(*options("v0", "v4", "v1", "v2", "v3"), timeout=600)
    print(done.output)
    assert done.code == 0, done.output
    assert f"first slow image: {REPOSITORY}:v3 (sha256:" in done.output
    assert f"last fast image:  {REPOSITORY}:v2 (sha256:" in done.output
    assert "differs: env.BUILD: v2 → v3" in done.output
    assert "differs: created: " in done.output
    record = project.record()
    assert record["ended"]
    outcomes = {one["server"].rpartition(":")[2]: one["outcome"] for one in record["verdicts"]}
    assert outcomes == {"v4": "regressed", "v2": "pass", "v3": "regressed"}
    shown = project.tokgate("report", "--latest")
    last = f"the last fast one before it is {REPOSITORY}:v2"
    assert (shown.code, last in " ".join(shown.output.split())) == (0, True)
    assert "llamacpp-cpu" not in project.tokgate("history").output
    refused = project.tokgate("baseline", "accept", "latest")
    assert (refused.code, "only arms of experiments or images" in refused.output) == (3, True)


def test_an_image_that_does_not_start_leaves_a_range(project: Any, options: Callable[..., tuple[str, ...]]) -> None:
    done = project.tokgate(*options("v0", "v3", "broken"))
    print(done.output)
    assert done.code == 4, done.output
    assert f"{REPOSITORY}:broken: left out: does not start: " in done.output
    assert "--no-such-option" in done.output
    assert f"the first slow image is one of {REPOSITORY}:broken, {REPOSITORY}:v3" in done.output


def test_a_faster_bad_image_is_not_reproduced(project: Any, options: Callable[..., tuple[str, ...]]) -> None:
    done = project.tokgate(*options("v3", "v0", "v1"))
    assert done.code == 1, done.output
    assert "not reproduced: the bad image is faster" in done.output


def test_ctrl_c_leaves_the_record_and_no_container(
    project: Any,
    options: Callable[..., tuple[str, ...]],
    tags: DockerClient,
    eventually: Callable[[Callable[[], bool]], None],
) -> None:
    command = (str(Path(sys.executable).with_name("tokgate")), *options("v0", "v4", "v1"))
    process = subprocess.Popen(command, cwd=project.folder, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        eventually(lambda: bool(project.runs) and bool(project.record()["measurements"]))
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, "tokgate: interrupted; its launches are kept: runs/" in said) == (130, True)
    mine = [
        one
        for one in tags.containers.list(all=True, filters={"label": "tokgate"}, ignore_removed=True)
        if str(one.labels.get("tokgate.run", "")).startswith(str(project.folder))
    ]
    assert mine == []
    assert project.record()["ended"] is None


def test_missing_images_are_reported_first(project: Any, options: Callable[..., tuple[str, ...]]) -> None:
    """Missing images are reported before anything starts."""
    done = project.tokgate(*options("v0", "v4", "gone", "other/gone:1"))
    assert done.code == 3
    assert "2 of 4 images are not on this machine; nothing was started" in done.output
    assert f"docker pull {REPOSITORY}:gone\n    docker pull other/gone:1" in done.output
    assert project.runs == []
