"""The shared-memory and batching experiments on the real vLLM, on its CPU engine, in real containers.

Each start takes half a minute and each experiment eight of them, so this file is run by name:

    ./ci/images.sh vllm-cpu && pytest tests/integration/test_vllm_cpu.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from docker import DockerClient
from docker.errors import ImageNotFound

from tokgate._exceptions import OptionRejected
from tokgate.config.catalogue import Catalogue
from tokgate.launch.start import start

IMAGE = "tokgate/vllm-cpu:0.32.0"
AS_WRITTEN = "claim: {metric: decode_tps, above: 1.2}"

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]


@pytest.fixture(autouse=True)
def image(docker_engine: DockerClient) -> None:
    """The image is there, or why nothing of this is tested."""
    try:
        docker_engine.images.get(IMAGE)
    except ImageNotFound:
        pytest.skip(f"image {IMAGE} is missing: ./ci/images.sh vllm-cpu builds it (about 10 minutes, 3 GB)")


def verdict_of(project: Any, hypothesis: str, *options: str) -> dict[str, Any]:
    """The verdict of one declared hypothesis of profile vllm-cpu, and how the run ended as `code`, `output`."""
    only = ("-k", f"test_hypothesis and {hypothesis}", *options)
    process = project.start("--tokgate-profile", "vllm-cpu", *only)
    output, _ = process.communicate(timeout=1700)
    record = project.record()
    problems = [problem for one in record["measurements"] for problem in one["problems"]]
    if any(problem["rule"] in project.DISTURBED for problem in problems):
        pytest.skip(f"this host is not quiet enough to measure on: {problems[0]['detail']}")
    (verdict,) = record["verdicts"]
    return {**verdict, "code": process.returncode, "output": output}


def as_written(project: Any, hypothesis: str) -> None:
    """Give a declared hypothesis the claim of the document: 16 GiB make decode more than 1.2 times as fast."""
    path = project.folder / "fixtures" / "hypotheses" / f"{hypothesis}.yaml"
    lines = path.read_text().splitlines()
    changed = [AS_WRITTEN if line.startswith("claim:") else line for line in lines]
    path.write_text("\n".join(line for line in changed if not line.startswith(("status:", "evidence:", "  - {"))))


def test_64_mb_claimed_to_be_slow_is_a_failed_arm(project: Any) -> None:
    """With 64 MiB claimed to be slow, the arm fails."""
    as_written(project, "vllm-cpu-shm-64m")
    found = verdict_of(project, "vllm-cpu-shm-64m")
    assert (found["outcome"], found["code"]) == ("arm_failed", 1), found["output"]
    assert found["reason"].startswith("arm A does not start: ")
    assert "160 MiB required, 64 MiB free" in found["reason"]


def test_64_mb_claimed_to_fail_confirm(project: Any) -> None:
    found = verdict_of(project, "vllm-cpu-shm-64m")
    assert (found["outcome"], found["code"]) == ("confirmed", 0), found["output"]
    assert "160 MiB required, 64 MiB free" in found["reason"]


def test_shm_size_under_ipc_host_is_invalid(project: Any) -> None:
    as_written(project, "vllm-cpu-shm-as-written")
    found = verdict_of(project, "vllm-cpu-shm-as-written")
    assert (found["outcome"], found["code"]) == ("invalid", 6), found["output"]
    assert "the treatment did not reach the server" in found["reason"]
    assert "set ipc: private in both arms" in found["reason"]


def test_shm_size_under_ipc_host_has_no_effect(project: Any) -> None:
    """The claim that --shm-size under --ipc=host has no effect is confirmed."""
    found = verdict_of(project, "vllm-cpu-shm-as-written")
    assert (found["outcome"], found["code"]) == ("confirmed", 0), found["output"]


def test_16_gb_over_256_mb_is_refuted(project: Any) -> None:
    """16 GiB over 256 MiB is refuted, with its interval."""
    found = verdict_of(project, "vllm-cpu-shm-size", "--tokgate-blocks", "4")
    assert found["outcome"] == "refuted", found["output"]
    assert found["ci_low"] < found["ratio"] < found["ci_high"] < 1.2
    assert f"95 % interval {found['ci_low']:.3f}–{found['ci_high']:.3f}" in found["reason"]


def test_batching_for_eight_users_is_confirmed(project: Any) -> None:
    found = verdict_of(project, "vllm-cpu-batching", "--tokgate-blocks", "1")
    assert found["outcome"] == "confirmed", found["output"]
    assert 2.0 < found["ci_low"] < found["ratio"] < found["ci_high"]


def test_removed_option_is_reported_before_a_start(project: Any) -> None:
    """An option that this version removed is reported before a start."""
    old = "description: as the analysis starts it\nextends: vllm-cpu\nlaunch:\n  args: [--swap-space, '16']\n"
    (project.folder / "fixtures" / "servers" / "old.yaml").write_text(old)
    project.profile("old", "old", "brief", launches=1)
    refused = project.perf("--tokgate-profile", "old")
    assert refused.code == 4, refused.output
    assert "fixtures/servers/old.yaml:4: `launch.args[0]`: vllm 0.32.0" in refused.output
    assert "no longer accepts --swap-space, removed in 0.18.0; remove it and its value" in refused.output
    assert project.runs == []


def test_image_without_a_version_is_asked(
    docker_engine: DockerClient, catalogue: Catalogue, free_port: int, tmp_path: Path
) -> None:
    """An image without a version in its tag is asked with --help."""
    unversioned = "tokgate/vllm-cpu"
    docker_engine.images.get(IMAGE).tag(unversioned, "of-a-test")
    try:
        for option, told in (
            ("--swap-space=16", "remove it and its value"),
            ("--max-num-seq-s", r"did you mean --max-num-seqs\?"),
        ):
            override = {"image": f"{unversioned}:of-a-test", "port": free_port, "args": [option]}
            spec = catalogue.server("vllm-cpu", {"launch": override})
            with (
                pytest.raises(OptionRejected, match=rf"does not accept --\S+: .* other options; {told}") as caught,
                start(spec, log_dir=tmp_path / "logs"),
            ):
                pass
            assert caught.value.option == option.partition("=")[0]
        assert not list((tmp_path / "logs").glob("*.log"))  # no server was started
    finally:
        docker_engine.images.remove(f"{unversioned}:of-a-test", noprune=True)
