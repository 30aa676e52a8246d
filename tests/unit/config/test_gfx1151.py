"""The suite of the owner's box: all of it is declared, and elsewhere each part is skipped with the reason."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

from tokgate.config.catalogue import Catalogue
from tokgate.config.hypothesis import Arm
from tokgate.config.server import DockerLaunch, ServerSpec
from tokgate.machine.amd import find_amd_gpus

ROOT = Path(__file__).parents[3]
CATALOGUE = Catalogue(ROOT / "fixtures")
PROFILE = CATALOGUE.profile("gfx1151")
HERE = any(gpu.gfx_target_version == 110501 for gpu in find_amd_gpus())


def differing(a: str, b: str) -> set[str]:
    """The launch options, and the model, in which two servers differ."""
    one, other = CATALOGUE.server(a), CATALOGUE.server(b)
    assert isinstance(one.launch, DockerLaunch)
    assert isinstance(other.launch, DockerLaunch)
    fields = [name for name in one.launch.__struct_fields__ if name != "name"]
    found = {name for name in fields if getattr(one.launch, name) != getattr(other.launch, name)}
    return found | ({"model"} if one.model != other.model else set())


@pytest.mark.parametrize(
    ("a", "b", "in_what"),
    [
        ("vllm-shm-64m", "vllm-shm-16g", {"shm_size"}),
        ("vllm-shm-64m", "vllm-current", {"shm_size", "ipc"}),
        ("vllm-batch-small", "vllm-batch-large", {"args"}),
        ("vllm-batch-small", "vllm-batch-amd", {"args"}),
        ("vllm-current", "vllm-awq", {"model"}),
        ("llamacpp-vulkan", "llamacpp-vulkan-f16", {"model"}),
        ("llamacpp-vulkan", "llamacpp-rocm", {"image", "devices"}),
    ],
)
def test_pairs_differ_only_in_the_treatment(a: str, b: str, in_what: set[str]) -> None:
    """The servers of a pair differ in what is compared and in nothing else."""
    assert differing(a, b) == in_what


def arms(hypothesis: str) -> list[Arm]:
    """One or two."""
    declared = CATALOGUE.hypothesis(hypothesis)
    return [arm for arm in (declared.a, declared.b) if arm is not None]


def test_servers_have_roofline_facts() -> None:
    """Every server states what the roofline requires."""
    for name in sorted({name for cells in PROFILE.cells for name in cells.servers}):
        spec: ServerSpec = CATALOGUE.server(name)
        assert spec.model.parameters, name
        assert spec.model.parameters_per_token, name
        assert spec.model.bytes_per_token, name
        assert spec.model.kv_bytes_per_token, name


def test_profile_is_complete() -> None:
    """Every server of the box and every hypothesis is in the profile."""
    listed = {name for cells in PROFILE.cells for name in cells.servers}
    of_the_box = {
        name
        for name in CATALOGUE.names("servers")
        if "/dev/dri" in getattr(CATALOGUE.server(name).launch, "devices", ())
    }
    assert listed == of_the_box
    tested = {name for name in CATALOGUE.names("hypotheses") if {arm.server for arm in arms(name)} <= of_the_box}
    assert set(PROFILE.hypotheses) == tested


def test_hypotheses_are_complete() -> None:
    """Every hypothesis has a rival, a source and a gated metric."""
    for name in PROFILE.hypotheses:
        hypothesis = CATALOGUE.hypothesis(name)
        assert hypothesis.rival, name
        assert hypothesis.source, name
        if not hypothesis.claim.untreated:
            assert hypothesis.claim.metric in CATALOGUE.workload(hypothesis.workload).gated, name


def _suite(*options: str) -> str:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-m",
        "perf",
        "--tokgate-profile",
        "gfx1151",
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, timeout=120)
    return done.stdout + done.stderr


def test_every_cell_is_collected() -> None:
    """pytest collects every server, workload and metric."""
    listed = set(re.findall(r"::test_verdict\[(\S+)\]", _suite("--collect-only", "-q")))
    expected = {
        f"{server}-{workload}-{metric}"
        for cells in PROFILE.cells
        for server, workload in product(cells.servers, cells.workloads)
        for metric in CATALOGUE.workload(workload).gated
    }
    assert listed == expected
    assert len(listed) > 150


@pytest.mark.skipif(HERE, reason="this machine has a gfx1151, where nothing of it is skipped")
def test_other_machines_skip(tmp_path: Path) -> None:
    """On another machine each test is skipped with the reason."""
    said = _suite("-q", "-rs", "-k", "test_verdict and vllm-amd", f"--tokgate-out={tmp_path}")
    assert "not checked: this machine has no gfx1151 (the KFD topology shows" in said
    assert re.search(r"\d+ skipped", said)
    assert "passed" not in said
    assert "failed" not in said


@pytest.mark.skipif(HERE, reason="this machine has a gfx1151, where nothing of it is missing")
def test_other_machines_fail_if_required(tmp_path: Path) -> None:
    """With --tokgate-require, each test fails on another machine."""
    said = _suite(
        "-q",
        "--tokgate-require",
        "-k",
        "test_verdict and vllm-shm-64m-answer-c1",
        f"--tokgate-out={tmp_path}",
    )
    assert "not checked: this machine has no gfx1151" in said
    assert "passed" not in said
    assert "skipped" not in said
