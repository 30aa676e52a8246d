"""The gate against a real container: slowed down for real it fails, left alone it passes, and by URL it is the same."""

from __future__ import annotations

import re
import statistics
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from docker import DockerClient

from tokgate.config.catalogue import Catalogue
from tokgate.launch.start import start

pytestmark = pytest.mark.long

SERVER = "llamacpp-cpu"


@pytest.fixture
def container_project(project: Any, free_port: int) -> Any:
    """Profile `container`: three launches of the container under `brief`."""
    declared = project.folder / "fixtures" / "servers" / f"{SERVER}.yaml"
    declared.write_text(re.sub(r"port: \d+", f"port: {free_port}", declared.read_text(), count=1))
    project.workload("brief", requests=2, max_tokens=48)
    project.profile("container", SERVER, "brief", launches=3)
    return project


@contextmanager
def throttled(engine: DockerClient, run_folder: Path) -> Iterator[None]:
    """Give every container of this project's runs half of the one core it uses, the moment it starts.

    Told by the engine's events: asking again and again would itself be the program that disturbs the host.
    """
    starts = engine.events(decode=True, filters={"event": "start", "label": "tokgate.server"})

    def slow_down() -> None:
        for event in starts:
            if event["Actor"]["Attributes"]["tokgate.run"].startswith(str(run_folder)):
                engine.containers.get(event["id"]).update(cpu_period=100_000, cpu_quota=50_000)

    slower = threading.Thread(target=slow_down)
    slower.start()
    try:
        yield
    finally:
        starts.close()
        slower.join()


def test_slowed_container_regresses(docker_engine: DockerClient, container_project: Any) -> None:
    """A container that is slowed down regresses; restored, it passes."""
    project = container_project
    args = ("--tokgate-profile", "container", "-k", "decode_tps")
    first = project.quiet_perf(*args)
    assert first.code == 0, first.output
    assert project.tokgate("baseline", "accept", "latest").code == 0

    with throttled(docker_engine, project.folder):
        slowed = project.quiet_perf(*args)
    (verdict,) = project.record()["verdicts"]
    assert verdict["outcome"] == "regressed", slowed.output
    assert slowed.code == 1
    assert verdict["ci_high"] < 1
    for figure in ("ratio", "ci_low", "ci_high"):
        assert f"{verdict[figure]:.3f}" in slowed.output
    assert "regressed: " in slowed.output
    refused = project.tokgate("baseline", "accept", "latest")
    assert refused.code == 3
    assert "brief decode_tps is regressed" in refused.output

    restored = project.quiet_perf(*args)
    (verdict,) = project.record()["verdicts"]
    assert restored.code == 0, restored.output
    assert verdict["outcome"] in ("pass", "improved", "inconclusive")
    assert verdict["ratio"] > 0.8
    assert not docker_engine.containers.list(all=True, filters={"label": f"tokgate.run={project.runs[-1] / 'logs'}"})


def decode_tps(project: Any) -> float:
    """The median over the launches of the newest run."""
    return statistics.median(float(one["metrics"]["decode_tps"]) for one in project.record()["measurements"])


def test_embedded_container_and_url_agree(container_project: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Embedded, in a container and by URL, a server has the same decode rate."""
    project = container_project
    project.workload("brief", requests=4, max_tokens=48)
    figures: dict[str, float] = {}
    assert project.quiet_perf("--tokgate-profile", "brief", "--tokgate-launches", "3", "-k", "measure").code == 0
    figures["embedded"] = decode_tps(project)
    assert project.quiet_perf("--tokgate-profile", "container", "-k", "measure").code == 0
    figures["container"] = decode_tps(project)
    own = Catalogue(project.folder / "fixtures").server("llamacpp-cpu")
    with start(own, log_dir=tmp_path_factory.mktemp("own")) as server:
        url = ("--tokgate-url", server.facts.base_url, "--tokgate-model", server.facts.model)
        finished = project.quiet_perf("--tokgate-profile", "container", *url, "-k", "measure")
        assert finished.code == 0, finished.output
        server.check_alive()
    figures["url"] = decode_tps(project)
    print(figures)
    for other in ("container", "url"):
        assert figures[other] == pytest.approx(figures["embedded"], rel=0.1), figures
