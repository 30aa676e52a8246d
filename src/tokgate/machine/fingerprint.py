"""Fingerprint: the facts of this box by key, and how two boxes differ.

Each fact has a weight. Facts that must match decide whether two measurements may be compared at all. Facts
that may differ are suspects when the measurements disagree: a driver update must show as a regression, and
not as another machine. The layers above add the facts of a server.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path

import msgspec

from tokgate.config.words import format_difference
from tokgate.machine.amd import find_amd_gpus
from tokgate.machine.cores import read_cpu_quotas
from tokgate.machine.devices import find_gpus
from tokgate.machine.gpu import Gpu
from tokgate.machine.packages import read_package_versions
from tokgate.machine.sysfs import ROOT, parse_int, read_fields, read_int, read_text

Value = str | int | float | bool | None

# Boot options that change speed; the rest of the command line may name disks or people.
_BOOT_OPTIONS = re.compile(r"(iommu|amd_iommu|ttm\.|amdttm\.|amdgpu\.|mitigations|amd_pstate|isolcpus)")
_PACKAGES = {
    "linux_firmware": (
        "linux-firmware",
        "amd-gpu-firmware",
        "linux-firmware-amdgpu",
        "firmware-amd-graphics",
    ),
    "mesa": ("mesa-vulkan-drivers", "vulkan-radeon", "mesa"),
    "rocm": ("rocm-core", "rocm-runtime", "hsa-rocr"),
}


_GPU_FACTS = ("gpu_driver", "gpu_performance_level", "gpu_power_limit_W", "gpu_firmware")


class Weight(StrEnum):
    """What a difference in a fact means: not comparable, a suspect, or nothing."""

    MUST_MATCH = "must_match"
    MAY_DIFFER = "may_differ"
    INFORMATION = "told"  # as records of the first edition call it


class Fact(msgspec.Struct, frozen=True):
    """One fact; value is None where it could not be read."""

    value: Value
    weight: Weight


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A fact in which two fingerprints differ; None: unknown, or not recorded."""

    key: str
    a: Value
    b: Value
    weight: Weight

    def __str__(self) -> str:
        a, b = ("unknown" if value is None else str(value) for value in (self.a, self.b))
        return f"{self.key}: {format_difference(a, b)}"


class Fingerprint(msgspec.Struct, frozen=True):
    """Facts by key, in the order they are shown."""

    facts: dict[str, Fact]

    def merged(self, extra: Mapping[str, Fact]) -> Fingerprint:
        """This fingerprint with more facts, such as those of a server; where both have a key, `extra` wins."""
        return Fingerprint({**self.facts, **extra})


def compute_fingerprint_id(fingerprint: Fingerprint) -> str:
    """Twelve hexadecimal digits of the facts that must match, the same for equal facts in any order.

    Unknown facts do not count, so that a key added later leaves the old ones as they are.
    """
    decisive = {
        key: fact.value
        for key, fact in fingerprint.facts.items()
        if fact.weight is Weight.MUST_MATCH and fact.value is not None
    }
    return hashlib.sha256(msgspec.json.encode(decisive, order="sorted")).hexdigest()[:12]


def find_differences(a: Fingerprint, b: Fingerprint) -> tuple[Difference, ...]:
    """Every fact in which a and b differ, those that must match first.

    The weight is b's where b has the key: an older a may have another one.
    """
    unknown = Fact(None, Weight.INFORMATION)
    different = []
    for key in {**a.facts, **b.facts}:
        fact_a, fact_b = a.facts.get(key, unknown), b.facts.get(key, unknown)
        if fact_a.value != fact_b.value:
            weight = fact_b.weight if key in b.facts else fact_a.weight
            different.append(Difference(key=key, a=fact_a.value, b=fact_b.value, weight=weight))
    return tuple(sorted(different, key=lambda difference: list(Weight).index(difference.weight)))


def read_fingerprint(root: Path = ROOT, environ: Mapping[str, str] = os.environ) -> Fingerprint:
    """The facts of the box below `root`; unreadable ones are None. Starts no process, except rpm on rpm systems."""
    gpus = find_gpus(root)
    must_match: dict[str, Value] = {
        "gpu": "+".join(gpu.name for gpu in gpus) or None,
        "cpu_model": _cpu_model(root),
        "cpus_usable": _cpus_usable(root),
        "memory_GiB": _installed_memory(root),
        "virtual_machine": _virtual_machine(root),
    }
    may_differ: dict[str, Value] = {
        **_gpu_facts(gpus),
        **_settings(root),
        **_versions(root),
        "HSA_OVERRIDE_GFX_VERSION": environ.get("HSA_OVERRIDE_GFX_VERSION", "unset"),
        "ROCBLAS_USE_HIPBLASLT": environ.get("ROCBLAS_USE_HIPBLASLT", "unset"),
    }
    dmi = root / "sys/class/dmi/id"
    informative: dict[str, Value] = {
        "system": _words(dmi / "sys_vendor", dmi / "product_name"),
        "os": read_fields(root / "etc/os-release", "=").get("PRETTY_NAME", "").strip('"') or None,
        "python": platform.python_version(),
    }
    return Fingerprint(
        {
            key: Fact(value, weight)
            for weight, values in zip(Weight, (must_match, may_differ, informative), strict=True)
            for key, value in values.items()
        }
    )


def _gpu_facts(gpus: tuple[Gpu, ...]) -> dict[str, Value]:
    """Driver settings of each GPU, joined where there are several.

    On an APU the totals are the BIOS carve-out and ttm's limit: engines size their scheduler by them.
    """
    memories = [gpu.read_memory() for gpu in gpus]
    facts = [gpu.read_facts() for gpu in gpus]
    return {
        "vram_total_bytes": _joined([memory.vram_total for memory in memories]),
        "gtt_total_bytes": _joined([memory.gtt_total for memory in memories]),
        **{key: _joined([values.get(key) for values in facts]) for key in _GPU_FACTS},
    }


def _settings(root: Path) -> dict[str, Value]:
    cpus = root / "sys/devices/system/cpu"
    cmdline = read_text(root / "proc/cmdline")
    return {
        "kernel": read_text(root / "proc/sys/kernel/osrelease"),
        "cmdline": cmdline and " ".join(sorted(filter(_BOOT_OPTIONS.match, cmdline.split()))),
        "ttm_pages_limit": read_int(root / "sys/module/ttm/parameters/pages_limit"),
        "iommu": read_iommu(root),
        "platform_profile": read_text(root / "sys/firmware/acpi/platform_profile"),
        "cpu_governor": _every(cpus, "cpufreq/scaling_governor"),
        "cpu_energy_preference": _every(cpus, "cpufreq/energy_performance_preference"),
        "container": _container(root),
    }


def _versions(root: Path) -> dict[str, Value]:
    """Versions on the host only; the image's digest stands for everything inside it."""
    dmi = root / "sys/class/dmi/id"
    packages = read_package_versions([name for names in _PACKAGES.values() for name in names], root)
    versions: dict[str, Value] = {
        key: next((packages[name] for name in names if name in packages), None) for key, names in _PACKAGES.items()
    }
    versions["rocm"] = read_text(root / "opt/rocm/.info/version") or versions["rocm"]
    return {
        **versions,
        "board": _words(dmi / "board_vendor", dmi / "board_name"),
        "bios": read_text(dmi / "bios_version"),
    }


def read_iommu(root: Path = ROOT) -> str | None:
    """`on` when the kernel has IOMMU groups, `off` when it has none, None if unknown."""
    try:
        return "on" if any((root / "sys/kernel/iommu_groups").iterdir()) else "off"
    except OSError:
        return None


def _cpu_model(root: Path) -> str | None:
    fields = read_fields(root / "proc/cpuinfo", ":")
    arm = " ".join(fields[key] for key in ("CPU implementer", "CPU part") if key in fields)
    return fields.get("model name") or arm or None


def _cpus_usable(root: Path) -> float | None:
    """CPUs this process may run on, or what its cgroup's quota allows if that is less."""
    allowed = read_fields(root / "proc/self/status", ":").get("Cpus_allowed_list")
    if allowed is None:
        return None
    ends = [[parse_int(end) for end in part.split("-")] for part in allowed.split(",") if part]
    cpus = sum(span[-1] - span[0] + 1 for span in ends if span[0] is not None and span[-1] is not None)
    if not cpus:
        return None
    return min([float(cpus), *read_cpu_quotas(root)])


def _installed_memory(root: Path) -> int | None:
    """GiB of installed memory, rounded up to a multiple of 4, as the kernel reserves some of it.

    VRAM counts too: an APU takes it from the same memory, and a BIOS setting moves the border.
    """
    total_kB = parse_int(read_fields(root / "proc/meminfo", ":").get("MemTotal", "").removesuffix(" kB"))
    if total_kB is None:
        return None
    total = total_kB * 1024 + sum(gpu.read_memory().vram_total or 0 for gpu in find_amd_gpus(root))
    return -(-total // 2**32) * 4


def _virtual_machine(root: Path) -> bool | None:
    flags = read_fields(root / "proc/cpuinfo", ":").get("flags")
    return None if flags is None else "hypervisor" in flags.split()


def _container(root: Path) -> str:
    if (root / ".dockerenv").exists():
        return "docker"
    return "podman" if (root / "run/.containerenv").exists() else "none seen"


def _every(cpus: Path, name: str) -> str | None:
    """The values in the CPUs' files, each different one once."""
    values = {read_text(path) for path in cpus.glob(f"cpu[0-9]*/{name}")} - {None}
    return " ".join(sorted(value for value in values if value)) or None


def _words(*paths: Path) -> str | None:
    return " ".join(text for text in map(read_text, paths) if text) or None


def _joined(values: Sequence[str | int | None]) -> Value:
    """One GPU's value as it is, several GPUs' as text; None when none has a value."""
    if len(values) == 1:
        return values[0]
    return " + ".join("unknown" if value is None else str(value) for value in values) if any(values) else None
