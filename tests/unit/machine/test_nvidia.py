"""NVIDIA's GPUs behind the same readers as AMD's, on a module that answers as nvidia-ml-py does."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tokgate.config.quiet import QuietLimits
from tokgate.machine.devices import find_gpu_of, find_gpus
from tokgate.machine.doctor import Needs, check_sensors, examine
from tokgate.machine.monitor import Monitor
from tokgate.machine.nvidia import NvidiaGpu, list_gpus
from tokgate.measure.quiet import check_host

if TYPE_CHECKING:
    from tests.unit.machine.conftest import Box


class NvmlError(Exception):
    """What pynvml raises for whatever the driver refuses."""


class Nvml:
    """The functions of pynvml that are called, with an H100's answers; those in `refused` raise."""

    NVMLError = NvmlError

    def __init__(self, *refused: str, gpus: int = 1) -> None:
        self.refused, self.gpus = refused, gpus
        self.energy_mJ = 5_000_000
        self.throttle_ns = {74: 7_000, 75: 0, 76: 0, 269: 0, 270: 0, 271: 0}

    def __getattr__(self, name: str) -> Any:
        answers = {
            "nvmlInit": lambda: None,
            "nvmlSystemGetDriverVersion": lambda: "580.159.04",
            "nvmlDeviceGetCount": lambda: self.gpus,
            "nvmlDeviceGetHandleByIndex": lambda number: number,
            "nvmlDeviceGetName": lambda _: "NVIDIA H100 80GB HBM3",
            "nvmlDeviceGetUUID": lambda number: f"GPU-{number}",
            "nvmlDeviceGetMinorNumber": lambda number: number,
            "nvmlDeviceGetPciInfo": lambda _: SimpleNamespace(busId="00000000:C5:00.0"),
            "nvmlDeviceGetVbiosVersion": lambda _: "96.00.A5.00.01",
            "nvmlDeviceGetEnforcedPowerLimit": lambda _: 700_000,
            "nvmlDeviceGetUtilizationRates": lambda _: SimpleNamespace(gpu=93, memory=41),
            "nvmlDeviceGetClockInfo": lambda _, kind: {1: 1980, 2: 2619}[kind],
            "nvmlDeviceGetPowerUsage": lambda _: 213_456,
            "nvmlDeviceGetTemperature": lambda _, sensor: {0: 41}[sensor],
            "nvmlDeviceGetMemoryInfo": lambda _: SimpleNamespace(total=80 * 2**30, used=2**30),
            "nvmlDeviceGetTotalEnergyConsumption": lambda _: self.energy_mJ,
            "nvmlDeviceGetFieldValues": lambda _, fields: [self._field(number) for number in fields],
        }

        def refuse(*_: object) -> None:
            raise NvmlError("Not Supported")

        if name not in answers:
            raise AttributeError(name)
        return refuse if name in self.refused else answers[name]

    def _field(self, number: int) -> SimpleNamespace:
        known = number in self.throttle_ns
        return SimpleNamespace(
            nvmlReturn=0 if known else 3, value=SimpleNamespace(ullVal=self.throttle_ns.get(number, 0))
        )


def find_one(nvml: Nvml) -> NvidiaGpu:
    (gpu,) = list_gpus(nvml)
    return gpu


def test_values() -> None:
    """Every value in the unit that its name states."""
    gpu = find_one(Nvml())
    assert (gpu.name, gpu.driver, gpu.pci_address) == ("NVIDIA H100 80GB HBM3", "580.159.04", "0000:c5:00.0")
    assert gpu.device_node == Path("/dev/nvidia0")
    assert {name: read() for name, read in gpu.make_readers().items()} == {
        "gpu_busy_pct": 93,
        "gpu_sclk_MHz": 1980,
        "gpu_mclk_MHz": 2619,
        "gpu_power_W": pytest.approx(213.456),
        "gpu_temp_C": 41,
        "gpu_vram_used_bytes": 2**30,
    }
    assert gpu.read_memory().vram_total == 80 * 2**30
    assert gpu.read_joules() == pytest.approx(5000)
    assert gpu.read_facts() == {
        "gpu_driver": "580.159.04",
        "gpu_firmware": "96.00.A5.00.01",
        "gpu_power_limit_W": 700,
    }


@pytest.mark.parametrize(
    ("gpus", "numbers"),
    [("all", [0, 1, 2]), (2, [0, 1]), ("device=1", [1]), ("device=GPU-0,2", [0, 2]), ("device=10", [])],
)
def test_requested_gpus(gpus: str | int, numbers: list[int]) -> None:
    """A container is given the GPUs that its `gpus` names, by number or UUID."""
    assert [gpu.number for gpu in list_gpus(Nvml(gpus=3)) if gpu.is_requested(gpus)] == numbers


def test_refused_values_are_unknown() -> None:
    """A function that the GPU or the driver does not support leaves its value unknown."""
    refused = ("PowerUsage", "MemoryInfo", "TotalEnergyConsumption", "FieldValues", "VbiosVersion", "PciInfo", "UUID")
    gpu = find_one(Nvml(*(f"nvmlDeviceGet{name}" for name in refused)))
    values = {name: read() for name, read in gpu.make_readers().items()}
    assert [name for name, value in values.items() if value is None] == ["gpu_power_W", "gpu_vram_used_bytes"]
    assert (gpu.read_memory().vram_total, gpu.read_joules(), gpu.read_throttle_counters()) == (None, None, {})
    assert (gpu.pci_address, gpu.uuid, gpu.read_facts()["gpu_firmware"]) == (None, None, None)


@pytest.mark.parametrize("name", ["nvmlInit", "nvmlDeviceGetCount", "nvmlDeviceGetHandleByIndex"])
def test_no_driver_or_gpu(name: str) -> None:
    assert list_gpus(Nvml(name)) == ()


def test_older_driver_has_fewer_counters() -> None:
    nvml = Nvml()
    nvml.throttle_ns = {74: 9, 75: 5}
    assert find_one(nvml).read_throttle_counters() == {"gpu_power_cap_ns": 9, "gpu_thermal_ns": 5}


def test_monitor(box: Box) -> None:
    """The monitor counts the energy and the throttling of its region only."""
    nvml = Nvml()
    with Monitor(gpu=find_one(nvml), interval_s=60, root=box.root) as monitor:
        nvml.energy_mJ += 1_234_000
        nvml.throttle_ns |= {74: 8_000, 270: 250}
    report = monitor.report
    assert report.energy_joules == pytest.approx(1234)
    assert report.levels["gpu_vram_used_bytes"].high == 2**30
    assert {name: grown for name, grown in report.throttled.items() if grown} == {
        "gpu_power_cap_ns": 1_000,
        "gpu_hw_thermal_ns": 250,
    }
    (problem,) = check_host(report, QuietLimits())
    assert problem.detail == "the chip was throttled by heat: gpu_hw_thermal_ns +250 (gpu_temp_C up to 41)"


def test_energy_without_a_counter(box: Box) -> None:
    """It is the integral of the power; so it is where the counter did not move."""
    for nvml in (Nvml("nvmlDeviceGetTotalEnergyConsumption"), Nvml()):
        with Monitor(gpu=find_one(nvml), interval_s=60, root=box.root) as monitor:
            pass
        assert monitor.report.energy_joules == pytest.approx(213.46 * monitor.report.duration_s, rel=1e-3)


def test_doctor_names_the_gpu() -> None:
    check = check_sensors(find_one(Nvml("nvmlDeviceGetPowerUsage")))
    assert (check.name, check.ok) == ("sensors of NVIDIA H100 80GB HBM3", True)
    assert check.seen == (
        "driver 580.159.04; reads gpu_busy_pct, gpu_sclk_MHz, gpu_mclk_MHz, gpu_temp_C, gpu_vram_used_bytes, energy, "
        "throttling; not gpu_power_W"
    )


def test_doctor_names_the_missing_package(box: Box, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tokgate.machine.doctor.find_spec", lambda name: None)
    box.write({"proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.159.04"})
    (check,) = [check for check in examine(Needs(disk=tmp_path), root=box.root) if "sensors" in check.name]
    assert (check.ok, check.remedy) == (None, "pip install 'tokgate[nvidia]'")


def test_gpu_of_a_server(strix_halo: Box) -> None:
    """It is the GPU whose device node the server, or a process that it started, holds open."""
    gpus = (*find_gpus(strix_halo.root), *list_gpus(Nvml(gpus=2)))
    for pid, parent, file in ((70, 1, "/dev/null"), (71, 70, "/dev/nvidia1"), (80, 1, "/dev/zero")):
        strix_halo.add_process(pid, parent=parent)
        (strix_halo.root / f"proc/{pid}/fd").mkdir()
        (strix_halo.root / f"proc/{pid}/fd/5").symlink_to(file)
    assert find_gpu_of([70], gpus, strix_halo.root) == gpus[2]
    assert find_gpu_of([80], gpus, strix_halo.root) is None
    (strix_halo.root / "proc/80/fd/6").symlink_to(strix_halo.root / "dev/dri/renderD128")
    assert find_gpu_of([80], gpus, strix_halo.root) == gpus[0]
