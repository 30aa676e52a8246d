"""GPUs are found by architecture, whatever their card number, and with whatever links KFD gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tokgate.machine.amd import GFX1151, find_amd_gpus, find_gpu

if TYPE_CHECKING:
    from tests.unit.machine.conftest import Box


@pytest.mark.parametrize(
    ("version", "name"),
    [(110501, "gfx1151"), (90402, "gfx942"), (90010, "gfx90a"), (100300, "gfx1030"), (120001, "gfx1201")],
)
def test_version_is_named_as_compilers_name_it(box: Box, version: int, name: str) -> None:
    box.add_gpu(1, gfx_target_version=version, pci_address="0000:03:00.0", card="card0", minor=128)
    assert find_amd_gpus(box.root)[0].name == name


def test_strix_halo_is_found_as_card1(strix_halo: Box) -> None:
    gpu = find_gpu(GFX1151, strix_halo.root)
    assert gpu is not None
    assert (gpu.name, gpu.node, gpu.card, gpu.pci_address) == ("gfx1151", 1, "card1", "0000:c5:00.0")
    assert gpu.render_node == strix_halo.root / "dev/dri/renderD128"
    assert gpu.device is not None
    assert gpu.device.name == "0000:c5:00.0"
    memory = gpu.read_memory()
    assert (memory.vram_total, memory.gtt_total) == (536870912, 128849018880)


@pytest.mark.parametrize("states", [("domain", "location_id"), ("location_id",), ("drm_render_minor",)])
def test_any_one_link_is_enough(box: Box, states: tuple[str, ...]) -> None:
    box.add_gpu(1, gfx_target_version=110501, pci_address="0000:c5:00.0", card="card3", minor=130, states=states)
    gpu = find_gpu(GFX1151, box.root)
    assert gpu is not None
    assert gpu.card == "card3"
    assert gpu.render_node == box.root / "dev/dri/renderD130"


def test_no_link_leaves_the_device_unknown(box: Box) -> None:
    box.add_gpu(1, gfx_target_version=110501, pci_address="0000:c5:00.0", card="card0", minor=128, states=())
    gpu = find_gpu(GFX1151, box.root)
    assert gpu is not None
    assert (gpu.render_node, gpu.card, gpu.device, gpu.pci_address) == (None, None, None, None)
    assert gpu.read_memory().gtt_total is None


def test_missing_files_are_unknown(strix_halo: Box) -> None:
    gpu = find_gpu(GFX1151, strix_halo.root)
    assert gpu is not None
    assert gpu.device is not None
    (gpu.device / "mem_info_gtt_total").unlink()
    (gpu.device / "mem_info_vram_total").write_text("N/A\n")
    assert gpu.read_memory().gtt_total is None
    assert gpu.read_memory().vram_total is None


def test_second_gpu_is_told_apart_by_architecture(strix_halo: Box) -> None:
    strix_halo.add_gpu(2, gfx_target_version=120001, pci_address="0001:03:1f.7", card="card0", minor=129)
    assert [gpu.name for gpu in find_amd_gpus(strix_halo.root)] == ["gfx1151", "gfx1201"]
    other = find_gpu(120001, strix_halo.root)
    assert other is not None
    assert (other.card, other.pci_address) == ("card0", "0001:03:1f.7")
    strix = find_gpu(GFX1151, strix_halo.root)
    assert strix is not None
    assert strix.card == "card1"


def test_no_gpu_and_no_kfd(box: Box) -> None:
    assert find_amd_gpus(box.root) == ()
    box.add_cpu_node(0)
    assert find_amd_gpus(box.root) == ()
    assert find_gpu(GFX1151, box.root) is None
