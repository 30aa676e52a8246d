"""The figures people gave of the owner's box: told for what they are, and an estimate never gates."""

from __future__ import annotations

from pathlib import Path

import pytest

from tokgate.config.catalogue import Catalogue
from tokgate.machine.fingerprint import Fingerprint
from tokgate.measure.roofline import check_roofline, compute_roofline
from tokgate.store.baselines import Baseline, explain_incomparable, read_baseline

ROOT = Path(__file__).parents[3]
CATALOGUE = Catalogue(ROOT / "fixtures")
FILES = sorted((ROOT / "baselines" / "gfx1151").glob("*.yaml"))
ANY_BOX = Fingerprint({})


def baseline(server: str, hardware: str = "gfx1151") -> Baseline:
    found = read_baseline(ROOT / "baselines" / hardware / f"{server}.yaml")
    assert found is not None
    if found.provenance == "measured":
        pytest.skip(f"{server}: a run was accepted in its place")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_baselines_of_declared_servers(path: Path) -> None:
    """Each is of a declared server and workload, or published."""
    read = baseline(path.stem)
    assert read.server == path.stem
    if read.provenance == "published":
        assert path.stem not in CATALOGUE.names("servers")
        return
    assert path.stem in CATALOGUE.names("servers")
    assert set(read.cells) <= set(CATALOGUE.names("workloads"))


@pytest.mark.parametrize(("server", "ends"), [("vllm-amd", (8, 10)), ("vllm-awq", (12, 18))])
def test_estimates_do_not_gate(server: str, ends: tuple[float, float]) -> None:
    read = baseline(server)
    assert read.cells["answer-c1"].metrics["decode_tps"] == ends
    why = explain_incomparable(read, "answer-c1", conditions={}, fingerprint=ANY_BOX)
    assert why is not None
    assert "is an estimate (the owner's" in why


@pytest.mark.parametrize(("server", "tps"), [("vllm-current", 6.4), ("llamacpp-vulkan", 24.0)])
def test_reported_values_are_possible(server: str, tps: float) -> None:
    """What the owner reports is compared and physically possible."""
    read = baseline(server)
    assert read.provenance == "reported"
    assert read.cells["answer-c1"].metrics["decode_tps"] == (tps,)
    assert explain_incomparable(read, "answer-c1", conditions={}, fingerprint=ANY_BOX) is None
    size = CATALOGUE.server(server).model.bytes_per_token
    assert size is not None
    roof = compute_roofline(CATALOGUE.hardware("gfx1151"), bytes_per_token=size, parameters_per_token=None, streams=1)
    assert roof is not None
    assert not [*check_roofline(roof, {"decode_tps": tps})]


def test_reference_chip_is_not_a_server() -> None:
    read = baseline("mi300x-reference", "mi300x")
    assert read.provenance == "estimate"
    assert "mi300x-reference" not in CATALOGUE.names("servers")
