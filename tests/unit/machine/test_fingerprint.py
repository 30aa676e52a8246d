"""The fingerprint says what the box is, and compares two by weight."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.machine.fingerprint import (
    Fact,
    Fingerprint,
    Weight,
    compute_fingerprint_id,
    find_differences,
    read_fingerprint,
)

if TYPE_CHECKING:
    from tests.unit.machine.conftest import Box

_values = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text('ab→"', max_size=4)
_fingerprints = st.builds(
    Fingerprint,
    st.dictionaries(st.sampled_from("abcdef"), st.builds(Fact, _values, st.sampled_from(Weight)), max_size=6),
)


def test_strix_halo(strix_halo: Box) -> None:
    facts = read_fingerprint(strix_halo.root, {"HSA_OVERRIDE_GFX_VERSION": "11.5.1"}).facts
    assert {key: fact.value for key, fact in facts.items() if fact.weight is Weight.MUST_MATCH} == {
        "gpu": "gfx1151",
        "cpu_model": "AMD RYZEN AI MAX+ 395 w/ Radeon 8060S",
        "cpus_usable": 32.0,
        "memory_GiB": 128,
        "virtual_machine": False,
    }
    assert {key: fact.value for key, fact in facts.items() if fact.weight is Weight.MAY_DIFFER} == {
        "vram_total_bytes": 536870912,
        "gtt_total_bytes": 128849018880,
        "gpu_driver": None,
        "gpu_performance_level": "auto",
        "gpu_power_limit_W": None,
        "gpu_firmware": "mec=0x20 smc=0x647000",
        "kernel": "6.18.4-200.fc43.x86_64",
        "cmdline": "amd_iommu=off amdgpu.gttsize=122880 ttm.pages_limit=31457280",
        "ttm_pages_limit": 31457280,
        "iommu": "off",
        "platform_profile": "performance",
        "cpu_governor": "powersave",
        "cpu_energy_preference": "performance",
        "container": "none seen",
        "linux_firmware": None,
        "mesa": None,
        "rocm": "7.2.0-43",
        "board": "Framework FRANMFCP06",
        "bios": "03.04",
        "HSA_OVERRIDE_GFX_VERSION": "11.5.1",
        "ROCBLAS_USE_HIPBLASLT": "unset",
    }
    assert facts["os"].value == "Fedora Linux 43 (Server Edition)"


def test_installed_memory(strix_halo: Box) -> None:
    """It is the same wherever the BIOS draws the border between memory and VRAM."""
    before = compute_fingerprint_id(read_fingerprint(strix_halo.root, {}))
    device = "sys/devices/pci0000:00/0000:c5:00.0"
    strix_halo.write({f"{device}/mem_info_vram_total": 96 * 2**30, "proc/meminfo": "MemTotal:       32100000 kB"})
    after = read_fingerprint(strix_halo.root, {})
    assert after.facts["memory_GiB"].value == 128
    assert compute_fingerprint_id(after) == before


def test_unknown_box_has_no_stand_in_values(box: Box) -> None:
    facts = read_fingerprint(box.root, {}).facts
    known = {key for key, fact in facts.items() if fact.value is not None}
    assert known == {"container", "HSA_OVERRIDE_GFX_VERSION", "ROCBLAS_USE_HIPBLASLT", "python"}


def test_two_gpus_are_both_told(strix_halo: Box) -> None:
    strix_halo.add_gpu(2, gfx_target_version=120001, pci_address="0000:03:00.0", card="card0", minor=129)
    facts = read_fingerprint(strix_halo.root, {}).facts
    assert facts["gpu"].value == "gfx1151+gfx1201"
    assert facts["gtt_total_bytes"].value == "128849018880 + unknown"


@pytest.mark.parametrize(
    ("allowed", "quotas", "cpus"),
    [
        ("0-3,8,10-11", {}, 7.0),
        ("0-7", {"a/b/cpu.max": "max 100000", "a/cpu.max": "150000 100000"}, 1.5),
        ("0", {"cpu.max": "800000 100000"}, 1.0),
    ],
)
def test_cpus_usable_by_affinity_and_quota(box: Box, allowed: str, quotas: dict[str, str], cpus: float) -> None:
    box.write(
        {
            "proc/self/status": f"Cpus_allowed:\tff\nCpus_allowed_list:\t{allowed}",
            "proc/self/cgroup": "1:cpu:/old\n0::/a/b",
            **{f"sys/fs/cgroup/{name}": text for name, text in quotas.items()},
        }
    )
    assert read_fingerprint(box.root, {}).facts["cpus_usable"].value == cpus


def test_other_boxes(box: Box) -> None:
    box.write(
        {
            "proc/cpuinfo": "processor: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd8b",
            "sys/kernel/iommu_groups/0/type": "DMA",
            "run/.containerenv": "",
        }
    )
    facts = read_fingerprint(box.root, {}).facts
    assert facts["cpu_model"].value == "0x41 0xd8b"
    assert facts["virtual_machine"].value is None
    assert facts["iommu"].value == "on"
    assert facts["container"].value == "podman"


def test_this_machine_is_read_the_same_twice() -> None:
    fingerprint = read_fingerprint()
    assert find_differences(fingerprint, read_fingerprint()) == ()
    assert fingerprint.facts["cpu_model"].value
    assert isinstance(fingerprint.facts["cpus_usable"].value, float)


def test_differences_say_key_values_and_weight(strix_halo: Box) -> None:
    before = read_fingerprint(strix_halo.root, {})
    strix_halo.write({"proc/sys/kernel/osrelease": "6.19.0", "proc/meminfo": "MemTotal:       65536000 kB"})
    (strix_halo.root / "sys/firmware/acpi/platform_profile").unlink()
    found = find_differences(before, read_fingerprint(strix_halo.root, {}))
    assert [(difference.weight, str(difference)) for difference in found] == [
        (Weight.MUST_MATCH, "memory_GiB: 128 → 64"),
        (Weight.MAY_DIFFER, "kernel: 6.18.4-200.fc43.x86_64 → 6.19.0"),
        (Weight.MAY_DIFFER, "platform_profile: performance → unknown"),
    ]


def test_facts_of_a_server_are_merged(box: Box) -> None:
    machine = read_fingerprint(box.root, {})
    server = machine.merged({"image_digest": Fact("sha256:1", Weight.MAY_DIFFER)})
    assert list(server.facts)[-1] == "image_digest"
    assert compute_fingerprint_id(server) == compute_fingerprint_id(machine)
    assert [difference.key for difference in find_differences(machine, server)] == ["image_digest"]
    assert compute_fingerprint_id(machine.merged({"model": Fact("x", Weight.MUST_MATCH)})) != compute_fingerprint_id(
        machine
    )


@given(_fingerprints, _fingerprints)
def test_id_differs_exactly_when_a_decisive_fact_does(a: Fingerprint, b: Fingerprint) -> None:
    def decisive(fingerprint: Fingerprint) -> dict[str, tuple[type, object]]:
        return {
            key: (type(fact.value), fact.value)
            for key, fact in fingerprint.facts.items()
            if fact.weight is Weight.MUST_MATCH and fact.value is not None
        }

    assert (compute_fingerprint_id(a) == compute_fingerprint_id(b)) == (decisive(a) == decisive(b))


@given(_fingerprints)
def test_id_after_json_and_in_any_order(fingerprint: Fingerprint) -> None:
    again = msgspec.json.decode(msgspec.json.encode(fingerprint), type=Fingerprint)
    turned = Fingerprint(dict(reversed(again.facts.items())))
    assert find_differences(fingerprint, turned) == ()
    assert compute_fingerprint_id(turned) == compute_fingerprint_id(fingerprint)
