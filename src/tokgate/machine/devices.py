"""The GPUs of this box, as the kernel's compute driver (KFD) describes them.

Card numbers mean nothing: card0 may be a display chip, or missing. KFD states the architecture of each
compute device, and which render node and PCI address belong to it.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from tokgate.machine.sysfs import read_fields, read_int

ROOT = Path("/")
GFX1151 = 110501


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """One compute device.

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
    def gfx(self) -> str:
        """The architecture as compilers write it, such as gfx1151 or gfx90a."""
        return format_gfx(self.gfx_target_version)


class GpuMemory(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of the driver's two pools: VRAM (on an APU the BIOS carve-out) and GTT (system memory)."""

    vram_total: int | None
    gtt_total: int | None


def format_gfx(gfx_target_version: int) -> str:
    """110501 → gfx1151: major in decimal, minor and stepping each as one hexadecimal digit."""
    major, rest = divmod(gfx_target_version, 10_000)
    minor, stepping = divmod(rest, 100)
    return f"gfx{major}{minor:x}{stepping:x}"


def find_gpus(root: Path = ROOT) -> tuple[Gpu, ...]:
    """All compute devices in KFD's order; empty when there is no KFD or no GPU."""
    nodes = root / "sys/class/kfd/kfd/topology/nodes"
    try:
        numbers = sorted(int(node.name) for node in nodes.iterdir() if node.name.isdigit())
    except OSError:
        return ()
    gpus = (_gpu(number, read_fields(nodes / str(number) / "properties"), root) for number in numbers)
    return tuple(gpu for gpu in gpus if gpu is not None)


def find_gpu(gfx_target_version: int, root: Path = ROOT) -> Gpu | None:
    """The first device of this architecture, or None."""
    return next((gpu for gpu in find_gpus(root) if gpu.gfx_target_version == gfx_target_version), None)


def read_gpu_memory(gpu: Gpu) -> GpuMemory:
    """The size of the GPU's pools as the driver states it; None for each that it does not state."""
    if gpu.device is None:
        return GpuMemory(vram_total=None, gtt_total=None)
    return GpuMemory(
        vram_total=read_int(gpu.device / "mem_info_vram_total"),
        gtt_total=read_int(gpu.device / "mem_info_gtt_total"),
    )


def _gpu(number: int, properties: dict[str, str], root: Path) -> Gpu | None:
    version = _number(properties, "gfx_target_version")
    if not version:  # a node of CPUs states 0, a node we may not read states nothing
        return None
    pci_address = _pci_address(_number(properties, "domain"), _number(properties, "location_id"))
    minor = _number(properties, "drm_render_minor")
    device = _device_folder(minor, pci_address, root)
    return Gpu(
        gfx_target_version=version,
        node=number,
        pci_address=pci_address,
        render_node=_render_node(minor, device, root),
        card=_drm_name(device, "card"),
        device=device,
    )


def _number(properties: dict[str, str], key: str) -> int | None:
    text = properties.get(key, "")
    return int(text) if text.isdigit() else None


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
