"""AMD's GPUs, as the kernel's compute driver (KFD) describes them.

Card numbers mean nothing: card0 may be a display chip, or missing. KFD states the architecture of each
compute device, and which render node and PCI address belong to it.
"""

from __future__ import annotations

import os
import re
import struct
from pathlib import Path

import msgspec

from tokgate.machine.gpu import GpuMemory, Reader
from tokgate.machine.sysfs import ROOT, parse_int, read_fields, read_int, read_text

GFX1151 = 110501

_NOWHERE = Path(os.devnull)  # not a folder, so every file below it is missing
_CURRENT_CLOCK = re.compile(r"(\d{1,9})Mhz \*", re.IGNORECASE)

# gpu_metrics v3.0, the table of gfx1151: the times since boot, in its own unit, for which each limit throttled
# the chip (struct gpu_metrics_v3_0 of the kernel's kgd_pp_interface.h).
_METRICS_V3_0 = (3, 0)
_RESIDENCIES = struct.Struct("<7I")
_RESIDENCIES_AT = 228
_RESIDENCY_NAMES = ("prochot", "spl", "fppt", "sppt", "thm_core", "thm_gfx", "thm_soc")


class AmdGpu(msgspec.Struct, frozen=True, kw_only=True):
    """One compute device of AMD's.

    gfx_target_version: its architecture as KFD states it (110501 is gfx1151).
    node: its number in KFD.
    pci_address, render_node (in /dev/dri), card (DRM name, `card1`), device (folder in sysfs): each is None
    where the box does not show it.
    """

    gfx_target_version: int
    node: int
    pci_address: str | None
    render_node: Path | None
    card: str | None
    device: Path | None

    @property
    def name(self) -> str:
        """The architecture as compilers write it, such as gfx1151 or gfx90a."""
        return format_gfx(self.gfx_target_version)

    @property
    def driver(self) -> str | None:
        """None: amdgpu comes with the kernel."""
        return None

    @property
    def device_node(self) -> Path | None:
        """See `Gpu`."""
        return self.render_node

    def make_readers(self) -> dict[str, Reader]:
        """See `Gpu`. On an APU the power is that of CPU and GPU."""
        device = self.device or _NOWHERE
        hwmon = next(iter(sorted((device / "hwmon").glob("hwmon*"))), device)
        return {
            "gpu_busy_pct": lambda: read_int(device / "gpu_busy_percent"),
            "gpu_sclk_MHz": lambda: _current_clock(device / "pp_dpm_sclk"),
            "gpu_power_W": lambda: _scale(read_int(hwmon / "power1_average") or read_int(hwmon / "power1_input"), 1e-6),
            "gpu_temp_C": lambda: _scale(read_int(hwmon / "temp1_input"), 1e-3),
            "gpu_vram_used_bytes": lambda: read_int(device / "mem_info_vram_used"),
            "gpu_gtt_used_bytes": lambda: read_int(device / "mem_info_gtt_used"),
        }

    def read_memory(self) -> GpuMemory:
        """See `Gpu`."""
        device = self.device or _NOWHERE
        return GpuMemory(
            vram_total=read_int(device / "mem_info_vram_total"),
            gtt_total=read_int(device / "mem_info_gtt_total"),
        )

    def read_joules(self) -> float | None:
        """None: amdgpu states the power only."""
        return None

    def read_throttle_counters(self) -> dict[str, int]:
        """gpu_prochot, gpu_thm_*: heat; gpu_spl, gpu_fppt, gpu_sppt: the sustained, fast and slow power limits."""
        try:
            table = ((self.device or _NOWHERE) / "gpu_metrics").read_bytes()
        except OSError:
            return {}
        if tuple(table[2:4]) != _METRICS_V3_0 or len(table) < _RESIDENCIES_AT + _RESIDENCIES.size:
            return {}
        values = _RESIDENCIES.unpack_from(table, _RESIDENCIES_AT)
        return {f"gpu_{name}": value for name, value in zip(_RESIDENCY_NAMES, values, strict=True)}

    def read_facts(self) -> dict[str, str | int | None]:
        """See `Gpu`."""
        device = self.device or _NOWHERE
        return {
            "gpu_performance_level": read_text(device / "power_dpm_force_performance_level"),
            "gpu_firmware": _loaded_firmware(device),
        }


def format_gfx(gfx_target_version: int) -> str:
    """110501 → gfx1151: major in decimal, minor and stepping each as one hexadecimal digit."""
    major, rest = divmod(gfx_target_version, 10_000)
    minor, stepping = divmod(rest, 100)
    return f"gfx{major}{minor:x}{stepping:x}"


def find_amd_gpus(root: Path = ROOT) -> tuple[AmdGpu, ...]:
    """All compute devices in KFD's order; empty when there is no KFD or no GPU."""
    nodes = root / "sys/class/kfd/kfd/topology/nodes"
    try:
        parsed = (parse_int(node.name) for node in nodes.iterdir())
        numbers = sorted(number for number in parsed if number is not None)
    except OSError:
        return ()
    gpus = (_gpu(number, read_fields(nodes / str(number) / "properties"), root) for number in numbers)
    return tuple(gpu for gpu in gpus if gpu is not None)


def find_gpu(gfx_target_version: int, root: Path = ROOT) -> AmdGpu | None:
    """The first device of this architecture, or None."""
    return next((gpu for gpu in find_amd_gpus(root) if gpu.gfx_target_version == gfx_target_version), None)


def _gpu(number: int, properties: dict[str, str], root: Path) -> AmdGpu | None:
    version = _number(properties, "gfx_target_version")
    if not version:  # a node of CPUs states 0, a node we may not read states nothing
        return None
    pci_address = _pci_address(_number(properties, "domain"), _number(properties, "location_id"))
    minor = _number(properties, "drm_render_minor")
    device = _device_folder(minor, pci_address, root)
    return AmdGpu(
        gfx_target_version=version,
        node=number,
        pci_address=pci_address,
        render_node=_render_node(minor, device, root),
        card=_drm_name(device, "card"),
        device=device,
    )


def _number(properties: dict[str, str], key: str) -> int | None:
    return parse_int(properties.get(key))


def _pci_address(domain: int | None, location_id: int | None) -> str | None:
    """KFD stores bus, device and function in location_id as PCI does: 8, 5 and 3 bits."""
    if location_id is None:
        return None
    return f"{domain or 0:04x}:{location_id >> 8 & 0xFF:02x}:{location_id >> 3 & 0x1F:02x}.{location_id & 7}"


def _device_folder(minor: int | None, pci_address: str | None, root: Path) -> Path | None:
    """By render node first: partitions of one GPU share its PCI address, but not that."""
    candidates = []
    if minor:
        candidates.append(root / f"sys/class/drm/renderD{minor}/device")
    if pci_address:
        candidates.append(root / "sys/bus/pci/devices" / pci_address)
    return next((folder.resolve() for folder in candidates if folder.is_dir()), None)


def _render_node(minor: int | None, device: Path | None, root: Path) -> Path | None:
    name = f"renderD{minor}" if minor else _drm_name(device, "renderD")
    return root / "dev/dri" / name if name else None


def _drm_name(device: Path | None, prefix: str) -> str | None:
    """The name DRM gave this device: `card1` or `renderD128`, without connectors such as card1-DP-1."""
    if device is None:
        return None
    names = (path.name for path in sorted((device / "drm").glob(f"{prefix}*")))
    return next((name for name in names if name.removeprefix(prefix).isdigit()), None)


def _loaded_firmware(device: Path) -> str | None:
    """The firmware that the GPU runs (`mec=0x20 smc=0x64…`), whatever package is installed."""
    versions = {
        path.name.removesuffix("_fw_version"): read_int(path)
        for path in sorted((device / "fw_version").glob("*_fw_version"))
    }
    return " ".join(f"{name}={version:#x}" for name, version in versions.items() if version) or None


def _current_clock(path: Path) -> float | None:
    match = _CURRENT_CLOCK.search(read_text(path) or "")
    return float(match[1]) if match else None


def _scale(value: int | None, factor: float) -> float | None:
    return None if value is None else value * factor
