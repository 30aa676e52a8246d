"""What `--tokgate-against` finds on real servers, in the minutes that it takes: run by name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
import yaml
from docker import DockerClient

pytestmark = pytest.mark.long

IMAGE = "tokgate/llama-cpu"


def test_a_slow_server_is_found(project: Any, other: str) -> None:
    """A planted slowdown far beyond the tolerance fails the run with exit code 1, in the terminal, JUnit and record."""
    slow = project.folder / "fixtures" / "servers" / "slow.yaml"
    spec = yaml.safe_load((slow.parent / f"{other}.yaml").read_text())
    # A real mistake: more threads than CPUs, which wait for each other.
    spec["launch"] |= {"threads": 2 * (os.cpu_count() or 1) + 2}
    slow.write_text(yaml.safe_dump(spec))
    project.profile("slow", "slow", "brief", launches=2)
    done = project.perf("--tokgate-profile", "slow", "--tokgate-against", "embedded-smollm2")
    decode = next(verdict for verdict in project.verdicts() if verdict["metric"] == "decode_tps")
    assert decode["outcome"] == "regressed", done.output
    assert decode["reproduced"] < 1
    assert done.code == 1
    (run,) = project.runs
    assert "regressed" in (run / "junit.xml").read_text()


@pytest.fixture
def tags(docker_engine: DockerClient) -> Iterator[tuple[str, str]]:
    """Two images that differ in a variable of the environment only."""
    names = []
    for value in ("1", "2"):
        container = docker_engine.containers.create(IMAGE)
        name = f"tokgate-test/against:{value}"
        container.commit(*name.split(":"), changes=f"ENV LLAMA_TEST={value}")
        container.remove()
        names.append(name)
    yield names[0], names[1]
    for name in names:
        docker_engine.images.remove(name, force=True)


def test_two_images(project: Any, tags: tuple[str, str], free_port: int) -> None:
    """Containers are paused in turn; they share the declared port, so that one of them moves."""
    spec = project.folder / "fixtures" / "servers" / "llamacpp-cpu.yaml"
    spec.write_text(spec.read_text().replace("port: 18091", f"port: {free_port}"))
    project.profile("container", "llamacpp-cpu", "brief", launches=2)
    done = project.perf("--tokgate-profile", "container", "--tokgate-against", f"main={tags[0]},pr={tags[1]}")
    verdicts = project.verdicts()
    assert {verdict["design"] for verdict in verdicts} == {"duet"}, done.output
    assert {verdict["outcome"] for verdict in verdicts} <= {"pass", "inconclusive", "improved"}, done.output
    facts = {run["server"]: run["facts"] for run in project.record()["measurements"]}
    assert {name: fact["image"] for name, fact in facts.items()} == {
        "llamacpp-cpu/main": tags[0],
        "llamacpp-cpu/pr": tags[1],
    }
    assert len({fact["base_url"] for fact in facts.values()}) == 2
    assert not _list_containers(project)


def _list_containers(project: Any) -> list[str]:
    """Containers of this project's runs that exist, running or not."""
    client = docker.from_env()
    try:
        containers = client.containers.list(all=True, filters={"label": "tokgate=1"})
        return [str(each.name) for each in containers if str(project.folder) in each.labels.get("tokgate.run", "")]
    finally:
        client.close()


def test_a_claim_is_settled_by_a_duet(project: Any) -> None:
    """The shipped hypothesis of the embedded profile, on real servers, in as few launch pairs as it takes."""
    profile = Path(project.folder, "fixtures", "profiles", "slots.yaml")
    profile.write_text("description: of a test\nhypotheses: [embedded-threads]\n")
    done = project.perf("--tokgate-profile", "slots")
    (verdict,) = project.record()["verdicts"]
    assert verdict["design"] == "duet", done.output
    assert verdict["outcome"] in ("confirmed", "inconclusive"), done.output
    assert "launch pair" in verdict["reason"]
