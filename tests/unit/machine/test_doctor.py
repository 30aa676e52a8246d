"""What the doctor says of recorded boxes, and of this machine's own ports, modules and disk."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from tokgate.machine.amd import GFX1151, find_gpu
from tokgate.machine.daemon import Daemon
from tokgate.machine.doctor import (
    Check,
    Needs,
    can_run,
    check_daemon,
    check_disk,
    check_file,
    check_image,
    check_memory,
    check_module,
    check_port,
    examine,
)

if TYPE_CHECKING:
    from tests.unit.machine.conftest import Box

# Qwen2.5-14B in FP16.
_FP16_14B = 29_540_000_000


def _by_name(checks: tuple[Check, ...]) -> dict[str, Check]:
    return {check.name: check for check in checks}


def test_strix_halo_has_what_a_14b_model_needs(strix_halo: Box, tmp_path: Path) -> None:
    needs = Needs(gfx_target_version=GFX1151, gpu_bytes=_FP16_14B, disk=tmp_path)
    checks = examine(needs, root=strix_halo.root, environ={})
    assert [(check.name, check.ok) for check in checks] == [
        ("Python", True),
        ("GPU gfx1151", True),
        ("/dev/kfd", True),
        ("/dev/dri/renderD128", True),
        ("GPU memory", True),
        ("IOMMU", None),
        ("power profile", True),
        ("HSA_OVERRIDE_GFX_VERSION", True),
        ("sensors of gfx1151", True),
        ("disk", True),
    ]
    assert can_run(checks)
    found = _by_name(checks)
    assert found["GPU gfx1151"].seen == "KFD node 1 (card1, 0000:c5:00.0)"
    assert found["/dev/kfd"].seen.startswith(f"gid {os.getgid()}, mode ")
    assert found["GPU memory"].seen == "GTT 128.8 GB, VRAM 536.9 MB; 29.54 GB needed"
    assert found["IOMMU"].seen == "off"
    assert found["sensors of gfx1151"].seen == (
        "reads gpu_busy_pct, gpu_sclk_MHz, gpu_power_W, gpu_temp_C, gpu_vram_used_bytes, gpu_gtt_used_bytes; "
        "not energy, throttling"
    )


def test_small_gtt_says_which_limit_to_set(strix_halo: Box) -> None:
    gpu = find_gpu(GFX1151, strix_halo.root)
    assert gpu is not None
    assert gpu.device is not None
    (gpu.device / "mem_info_gtt_total").write_text(f"{16 * 2**30}\n")
    check = check_memory(gpu, _FP16_14B)
    assert check.ok is False
    assert check.seen == "GTT 17.18 GB, VRAM 536.9 MB; 29.54 GB needed"
    assert check.remedy is not None
    # 29.54e9 / 4096, rounded up.
    assert "ttm.pages_limit=7211915" in check.remedy


def test_memory_of_the_bios_counts_too(strix_halo: Box) -> None:
    gpu = find_gpu(GFX1151, strix_halo.root)
    assert gpu is not None
    assert gpu.device is not None
    (gpu.device / "mem_info_gtt_total").unlink()
    assert check_memory(gpu, _FP16_14B).ok is False
    (gpu.device / "mem_info_vram_total").write_text(f"{96 * 2**30}\n")
    assert check_memory(gpu, _FP16_14B).ok is True
    (gpu.device / "mem_info_vram_total").unlink()
    assert check_memory(gpu, _FP16_14B) == Check(name="GPU memory", ok=None, seen="unknown; 29.54 GB needed")


def test_settings_for_information(strix_halo: Box) -> None:
    strix_halo.write(
        {
            "sys/firmware/acpi/platform_profile": "balanced",
            "sys/kernel/iommu_groups/0/type": "DMA-FQ",
        }
    )
    environ = {"HSA_OVERRIDE_GFX_VERSION": "11.0.0"}
    found = _by_name(examine(Needs(gfx_target_version=GFX1151), root=strix_halo.root, environ=environ))
    told = {name: check.seen for name, check in found.items() if check.ok is None}
    assert told == {"IOMMU": "on", "power profile": "balanced", "HSA_OVERRIDE_GFX_VERSION": "11.0.0"}
    assert "amd_iommu=off" in (found["IOMMU"].remedy or "")
    assert "powerprofilesctl set performance" in (found["power profile"].remedy or "")
    assert can_run(tuple(found.values()))


def test_box_without_the_gpu_cannot_run(box: Box) -> None:
    box.add_gpu(1, gfx_target_version=100300, pci_address="0000:03:00.0", card="card0", minor=128)
    (box.root / "dev/kfd").unlink()
    checks = examine(Needs(gfx_target_version=GFX1151, gpu_bytes=1), root=box.root, environ={})
    missing = {check.name: check.seen for check in checks if check.ok is False}
    assert missing == {
        "GPU gfx1151": "the KFD topology shows gfx1030",
        "/dev/kfd": "No such file or directory",
    }
    assert all(check.remedy for check in checks if check.ok is False)
    assert not can_run(checks)


def test_closed_node_shows_the_numeric_group(open_path: Path) -> None:
    node = open_path / "kfd"
    node.touch(0o600)
    node.chmod(0)
    # Root may open anything, so the question is asked as nobody.
    script = """if True:
        import os, sys
        from pathlib import Path
        from tokgate.machine.doctor import check_node
        if os.getuid() == 0:
            os.setuid(65534)
        node = Path(sys.argv[1])
        check = check_node(node, node.parent)
        print(check.ok, check.seen, check.remedy)
    """
    output = subprocess.run([sys.executable, "-c", script, node], stdout=subprocess.PIPE, text=True, check=True).stdout
    gid = os.getgid()
    assert output.startswith(f"None gid {gid}, mode 0, closed to this user (containers join gid {gid}")
    assert f"usermod -aG $(getent group {gid} | cut -d: -f1) $USER" in output


def test_no_needs_few_checks(box: Box, tmp_path: Path) -> None:
    assert [check.name for check in examine(Needs(disk=tmp_path), root=box.root)] == ["Python", "disk"]


def test_port_in_use_names_the_process() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        assert check_port(port) == Check(name=f"port {port}", ok=True, seen="free")
        server.listen()
        check = check_port(port)
        assert check.ok is False
        assert f"(pid {os.getpid()})" in check.seen


def test_modules_are_located_not_imported() -> None:
    assert check_module("antigravity").ok is True  # importing it would open a browser
    assert "antigravity" not in sys.modules
    assert check_module("no_such_engine") == Check(
        name="module no_such_engine",
        ok=False,
        seen="not installed",
        remedy="pip install no-such-engine",
    )


def test_model_files(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"0" * 10_000_000)
    assert check_file(tmp_path / "model.gguf").seen.endswith("model.gguf, 10 MB")
    assert check_file(tmp_path).ok is True
    check = check_file(tmp_path / "other.gguf")
    assert (check.ok, check.seen) == (False, f"{tmp_path}/other.gguf does not exist")


def test_disk_of_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    assert check_disk(tmp_path / "runs" / "next", 1).ok is True
    check = check_disk(tmp_path / "runs", 2**62)
    assert check.ok is False
    assert f"free at {tmp_path}" in check.seen
    assert "free 4611686 TB" in (check.remedy or "")


def test_docker_and_its_images() -> None:
    daemon = Daemon(version="28.1", images={"vllm": "sha256:12"})
    assert check_daemon(daemon).ok is True
    assert check_image("vllm", daemon).seen == "sha256:12"
    assert check_image("other", daemon).remedy == "`docker pull other`"
    assert check_image("tokgate/vllm-cpu:0.32.0", daemon).remedy == "`./ci/images.sh vllm-cpu`"


def test_docker_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    checks = _by_name(examine(Needs(docker=True, images=("vllm",), disk=tmp_path)))
    assert list(checks) == ["Python", "Docker", "disk"]
    assert checks["Docker"].ok is False
    assert checks["Docker"].seen.endswith(f"{tmp_path}/none.sock: No such file or directory")
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    assert "Connection refused" in examine(Needs(docker=True, disk=tmp_path))[1].seen


def test_checks_are_json(box: Box, tmp_path: Path) -> None:
    checks = examine(Needs(disk=tmp_path), root=box.root)
    again = msgspec.json.decode(msgspec.json.encode(checks), type=tuple[Check, ...])
    assert again == checks
