"""NVIDIA's GPUs, as their driver's management library (NVML) describes them.

It is read through the package nvidia-ml-py, which is optional. Functions, units and numbers of fields are those
of NVML's API reference (nvml.h).
"""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from tokgate.machine.gpu import GpuMemory, Reader
from tokgate.machine.sysfs import ROOT

PACKAGE = "pynvml"
"""The module of nvidia-ml-py."""

DRIVER = "proc/driver/nvidia/version"
"""Exists where the driver is loaded, whether or not NVML can be read."""

# Counters of the nanoseconds for which each reason lowered the clocks since the driver was loaded
# (NVML_FI_DEV_CLOCKS_EVENT_REASON_*; 74 to 76 are the older NVML_FI_DEV_PERF_POLICY_*).
_THROTTLE_FIELDS = {
    74: "gpu_power_cap_ns",
    75: "gpu_thermal_ns",
    76: "gpu_sync_boost_ns",
    269: "gpu_sw_thermal_ns",
    270: "gpu_hw_thermal_ns",
    271: "gpu_power_brake_ns",
}
_SM_CLOCK, _MEMORY_CLOCK = 1, 2  # nvmlClockType_t
_CORE_SENSOR = 0  # nvmlTemperatureSensors_t
_PCI_ADDRESS = len("0000:c5:00.0")  # NVML writes the domain with eight digits, the kernel with four


class NvidiaGpu(msgspec.Struct, frozen=True, kw_only=True):
    """One GPU of NVIDIA's.

    nvml: the module to ask. handle: its own name for the GPU.
    number: its place in NVML's order, as `nvidia-smi` shows it.
    """

    nvml: Any
    handle: Any
    number: int
    name: str
    uuid: str | None
    pci_address: str | None
    driver: str | None
    device_node: Path | None

    def is_requested(self, gpus: str | int) -> bool:
        """Whether `gpus`, a value of `docker run --gpus`, includes this GPU; a number is taken for the first ones."""
        if isinstance(gpus, int):
            return self.number < gpus
        return gpus == "all" or not {str(self.number), self.uuid}.isdisjoint(gpus.removeprefix("device=").split(","))

    def make_readers(self) -> dict[str, Reader]:
        """See `Gpu`. Power is the driver's mean over about a second."""
        return {
            "gpu_busy_pct": lambda: self._read("UtilizationRates", field="gpu"),
            "gpu_sclk_MHz": lambda: self._read("ClockInfo", _SM_CLOCK),
            "gpu_mclk_MHz": lambda: self._read("ClockInfo", _MEMORY_CLOCK),
            "gpu_power_W": lambda: _scale(self._read("PowerUsage"), 1e-3),
            "gpu_temp_C": lambda: self._read("Temperature", _CORE_SENSOR),
            "gpu_vram_used_bytes": lambda: self._read("MemoryInfo", field="used"),
        }

    def read_memory(self) -> GpuMemory:
        """See `Gpu`."""
        return GpuMemory(vram_total=self._read("MemoryInfo", field="total"))

    def read_joules(self) -> float | None:
        """See `Gpu`."""
        return _scale(self._read("TotalEnergyConsumption"), 1e-3)

    def read_throttle_counters(self) -> dict[str, int]:
        """See `Gpu`; in nanoseconds."""
        values = self._read("FieldValues", list(_THROTTLE_FIELDS)) or ()
        return {
            name: int(value.value.ullVal)
            for name, value in zip(_THROTTLE_FIELDS.values(), values, strict=False)
            if value.nvmlReturn == 0  # NVML_SUCCESS; an older driver does not know every field
        }

    def read_facts(self) -> dict[str, str | int | None]:
        """See `Gpu`."""
        limit_W = _scale(self._read("EnforcedPowerLimit"), 1e-3)
        return {
            "gpu_driver": self.driver,
            "gpu_firmware": self._read("VbiosVersion"),
            "gpu_power_limit_W": None if limit_W is None else round(limit_W),
        }

    def _read(self, what: str, *arguments: object, field: str | None = None) -> Any:
        """The value of nvmlDeviceGet`what`, or one field of it; None where the GPU or the driver does not state it."""
        try:
            value = getattr(self.nvml, f"nvmlDeviceGet{what}")(self.handle, *arguments)
            return value if field is None else getattr(value, field)
        except (self.nvml.NVMLError, AttributeError, ValueError):  # an older package lacks the function; not UTF-8
            return None


@cache
def find_nvidia_gpus() -> tuple[NvidiaGpu, ...]:
    """The GPUs of this machine in NVML's order; empty without the package, the driver or a GPU."""
    try:
        import pynvml
    except ImportError:
        return ()
    return list_gpus(pynvml)


def list_gpus(nvml: Any) -> tuple[NvidiaGpu, ...]:
    """Start NVML, which stays loaded until the process ends, and list its GPUs."""
    gpus = []
    with suppress(nvml.NVMLError):
        nvml.nvmlInit()
        driver = nvml.nvmlSystemGetDriverVersion()
        for number in range(nvml.nvmlDeviceGetCount()):
            with suppress(nvml.NVMLError, ValueError):  # a GPU that fell off the bus is listed, but has no handle
                gpus.append(_make_gpu(nvml, number, driver))
    return tuple(gpus)


def _make_gpu(nvml: Any, number: int, driver: str) -> NvidiaGpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(number)
    uuid = address = node = None
    with suppress(nvml.NVMLError, ValueError):
        uuid = nvml.nvmlDeviceGetUUID(handle)
    with suppress(nvml.NVMLError, ValueError):
        address = nvml.nvmlDeviceGetPciInfo(handle).busId.lower()[-_PCI_ADDRESS:]
    with suppress(nvml.NVMLError, ValueError):
        node = ROOT / f"dev/nvidia{nvml.nvmlDeviceGetMinorNumber(handle)}"
    return NvidiaGpu(
        nvml=nvml,
        handle=handle,
        number=number,
        name=nvml.nvmlDeviceGetName(handle),
        uuid=uuid,
        pci_address=address,
        driver=driver,
        device_node=node,
    )


def _scale(value: int | None, factor: float) -> float | None:
    return None if value is None else value * factor
