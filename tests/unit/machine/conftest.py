"""Recorded boxes: the files of /proc, /sys and /dev that tokgate reads, laid out below a folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


class Box:
    """A file tree that stands for a machine."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, files: dict[str, object]) -> None:
        for name, content in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh = path.with_name(f".{path.name}")
            fresh.write_text(f"{content}\n")
            fresh.replace(path)  # at once, as the kernel does: somebody may be reading

    def add_process(
        self,
        pid: int,
        *,
        parent: int = 1,
        name: str = "idle",
        cpu: int = 0,
        reaped: int = 0,
        started: int = 5,
    ) -> None:
        """A process that has used `cpu` clock ticks, its ended children `reaped`."""
        before = "0 0 0 -1 4194560 100 0 0 0"
        self.write(
            {
                f"proc/{pid}/stat": f"{pid} ({name}) S {parent} {before} {cpu} 0 {reaped} 0 20 0 1 0 {started} 9 9",
                f"proc/{pid}/cmdline": f"/usr/bin/{name}\0--serve\0--api-key=secret\0",
            }
        )

    def add_cpu_times(self, *, user: int = 0, idle: int = 0, steal: int = 0, irq: int = 0) -> None:
        """The machine's clock ticks so far."""
        self.write({"proc/stat": f"cpu  {user} 0 0 {idle} 0 {irq} 0 {steal} 0 0\ncpu0 1 1 1 1\nprocs_running 3"})

    def add_cpu_node(self, node: int) -> None:
        self.write(
            {
                f"sys/class/kfd/kfd/topology/nodes/{node}/properties": "cpu_cores_count 32\nsimd_count 0\n"
                "gfx_target_version 0\nlocation_id 0\ndomain 0\ndrm_render_minor 0"
            }
        )

    def add_gpu(
        self,
        node: int,
        *,
        gfx_target_version: int,
        pci_address: str,
        card: str,
        minor: int,
        states: tuple[str, ...] = ("domain", "location_id", "drm_render_minor"),
    ) -> Path:
        """A GPU as KFD, DRM and PCI show it; `states` are the links KFD gives. Returns its device folder."""
        domain, bus, rest = pci_address.split(":")
        slot, function = rest.split(".")
        links = {
            "domain": int(domain, 16),
            "location_id": int(bus, 16) << 8 | int(slot, 16) << 3 | int(function),
            "drm_render_minor": minor,
        }
        device = self.root / "sys/devices/pci0000:00" / pci_address
        lines = ["cpu_cores_count 0", "simd_count 80", f"gfx_target_version {gfx_target_version}"]
        lines += [f"{key} {links[key]}" for key in states]
        self.write(
            {
                f"sys/class/kfd/kfd/topology/nodes/{node}/properties": "\n".join(lines),
                f"dev/dri/{card}": "",
                f"dev/dri/renderD{minor}": "",
                "dev/kfd": "",
            }
        )
        for name in (card, f"renderD{minor}", f"{card}-DP-1"):
            (device / "drm" / name).mkdir(parents=True)
            (device / "drm" / name / "device").symlink_to(device)
        (self.root / "sys/bus/pci/devices").mkdir(parents=True, exist_ok=True)
        (self.root / "sys/bus/pci/devices" / pci_address).symlink_to(device)
        (self.root / "sys/class/drm").mkdir(parents=True, exist_ok=True)
        for name in (card, f"renderD{minor}"):
            (self.root / "sys/class/drm" / name).symlink_to(device / "drm" / name)
        return device


@pytest.fixture
def box(tmp_path: Path) -> Box:
    """A machine of which nothing is known."""
    return Box(tmp_path / "box")


@pytest.fixture
def strix_halo(box: Box) -> Box:
    """A Ryzen AI Max+ 395 with 128 GB as its files show it, the GPU being card1."""
    box.add_cpu_node(0)
    device = box.add_gpu(1, gfx_target_version=110501, pci_address="0000:c5:00.0", card="card1", minor=128)
    here = str(device.relative_to(box.root))
    box.write(
        {
            f"{here}/gpu_busy_percent": 0,
            f"{here}/mem_info_vram_total": 536870912,
            f"{here}/mem_info_vram_used": 208154624,
            f"{here}/mem_info_gtt_total": 128849018880,
            f"{here}/mem_info_gtt_used": 31457280,
            f"{here}/pp_dpm_sclk": "0: 600Mhz *\n1: 1000Mhz \n2: 2900Mhz ",
            f"{here}/power_dpm_force_performance_level": "auto",
            f"{here}/fw_version/mec_fw_version": "0x00000020",
            f"{here}/fw_version/smc_fw_version": "0x00647000",
            f"{here}/fw_version/vce_fw_version": "0x00000000",
            f"{here}/hwmon/hwmon4/name": "amdgpu",
            f"{here}/hwmon/hwmon4/temp1_input": 41000,
            f"{here}/hwmon/hwmon4/power1_average": 12050000,
            "proc/cpuinfo": "processor\t: 0\nmodel name\t: AMD RYZEN AI MAX+ 395 w/ Radeon 8060S\n"
            "flags\t\t: fpu vme sse avx512f\n\nprocessor\t: 1\nmodel name\t: something else",
            "proc/meminfo": "MemTotal:       131072000 kB\nMemFree: 1 kB",
            "proc/self/status": "Name:\tpython\nCpus_allowed_list:\t0-31",
            "proc/self/cgroup": "0::/user.slice/session-2.scope",
            "proc/sys/kernel/osrelease": "6.18.4-200.fc43.x86_64",
            "proc/cmdline": "BOOT_IMAGE=/vmlinuz root=UUID=c0ffee ro quiet ttm.pages_limit=31457280 "
            "amd_iommu=off amdgpu.gttsize=122880",
            "sys/module/ttm/parameters/pages_limit": 31457280,
            "sys/firmware/acpi/platform_profile": "performance",
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave",
            "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor": "powersave",
            "sys/devices/system/cpu/cpu0/cpufreq/energy_performance_preference": "performance",
            "sys/class/dmi/id/sys_vendor": "Framework",
            "sys/class/dmi/id/product_name": "Desktop (AMD Ryzen AI Max 300 Series)",
            "sys/class/dmi/id/board_vendor": "Framework",
            "sys/class/dmi/id/board_name": "FRANMFCP06",
            "sys/class/dmi/id/bios_version": "03.04",
            "etc/os-release": 'NAME="Fedora Linux"\nPRETTY_NAME="Fedora Linux 43 (Server Edition)"',
            "opt/rocm/.info/version": "7.2.0-43",
        }
    )
    (box.root / "sys/kernel/iommu_groups").mkdir(parents=True)
    return box


@pytest.fixture
def open_path(tmp_path: Path) -> Path:
    """A folder that every user may enter, as /tmp is; pytest's own are closed to others."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and not folder.stat().st_mode & 0o1:
            folder.chmod(0o755)
    return tmp_path
