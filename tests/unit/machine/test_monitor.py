"""What the monitor makes of a host, on recorded files that change while it watches."""

from __future__ import annotations

import os
import struct
import time
from typing import TYPE_CHECKING

import msgspec
import pytest

from tokgate.machine.amd import GFX1151, find_gpu
from tokgate.machine.host import HostReport
from tokgate.machine.monitor import Monitor

if TYPE_CHECKING:
    from tests.unit.machine.conftest import Box

_DEVICE = "sys/devices/pci0000:00/0000:c5:00.0"


def _wait_for_a_look(monitor: Monitor, box: Box) -> None:
    """Until the thread has looked at the files as they are now."""
    deadline = time.perf_counter() + 60
    looks = len(monitor._at_s)
    while len(monitor._at_s) < looks + 2:
        assert time.perf_counter() < deadline, "the monitor does not look"
        time.sleep(0.005)


def test_cpu_of_others(box: Box) -> None:
    """It is what neither this process nor the server used."""
    box.add_cpu_times(user=1000, idle=1000)
    box.add_process(os.getpid(), name="pytest", cpu=100)
    box.add_process(70, name="llama-server", cpu=500, reaped=10)
    box.add_process(71, parent=70, name="worker", cpu=500)
    box.add_process(80, name="backup", cpu=7000)
    with Monitor(server_pids=[70], interval_s=60, root=box.root) as monitor:
        box.add_cpu_times(user=2000, idle=1000, irq=100)
        box.add_process(os.getpid(), name="pytest", cpu=150)
        box.add_process(70, name="llama-server", cpu=800, reaped=60)
        box.add_process(71, parent=70, name="worker", cpu=700)
        box.add_process(72, parent=71, name="new", cpu=100)
        box.add_process(80, name="backup", cpu=7250)
        box.add_process(81, name="cron", cpu=10, started=9)
    report = monitor.report
    assert report.others_cores is not None
    # 10 s were used in all: 0.5 s by us, 3.5 + 2 + 1 s by the server, the other 3 s by others.
    assert report.others_cores * report.duration_s == pytest.approx(3.0)
    assert report.culprit is not None
    assert (report.culprit.name, report.culprit.pid) == ("backup --serve", 80)
    assert report.culprit.cores * report.duration_s == pytest.approx(2.5)
    assert report.timeline["run_queue"] == (3,)


def test_processes_of_one_program_are_one_culprit(box: Box) -> None:
    box.add_cpu_times()
    box.add_process(os.getpid())
    box.add_process(80, name="backup", cpu=50)
    with Monitor(interval_s=60, root=box.root) as monitor:
        box.add_cpu_times(user=500)
        box.add_process(80, name="backup", cpu=80)
        for pid, cpu in ((81, 20), (82, 25), (83, 5)):
            box.add_process(pid, name="cc1plus", cpu=cpu, started=pid)
    assert monitor.report.culprit is not None
    assert str(monitor.report.culprit).startswith("cc1plus --serve (pid 82 and 2 more), ")


def test_culprit_that_ended_is_named(box: Box) -> None:
    box.add_cpu_times()
    box.add_process(os.getpid())
    with Monitor(interval_s=0.01, root=box.root) as monitor:
        box.add_process(80, name="backup", cpu=400, started=80)
        box.add_cpu_times(user=1000)
        _wait_for_a_look(monitor, box)
        (box.root / "proc/80/stat").unlink()
        (box.root / "proc/80/cmdline").unlink()
    assert monitor.report.culprit is not None
    assert (monitor.report.culprit.name, monitor.report.culprit.pid) == ("backup", 80)


@pytest.mark.parametrize("server_pids", [None, [70], [os.getpid(), 71]])
def test_unknown_server_processes(box: Box, server_pids: list[int] | None) -> None:
    """The CPU of others is unknown when the server cannot be told apart from them."""
    box.add_cpu_times()
    box.add_process(os.getpid())
    box.add_process(71)
    with Monitor(server_pids=server_pids, interval_s=60, root=box.root) as monitor:
        box.add_cpu_times(user=1000)
        (box.root / "proc/71/stat").unlink()
    assert monitor.report.others_cores is None
    assert monitor.report.culprit is None
    assert "others_cores" in monitor.report.unknown


def test_nothing_known_is_all_unknown(box: Box) -> None:
    gpu = box.add_gpu(1, gfx_target_version=110501, pci_address="0000:c5:00.0", card="card0", minor=128, states=())
    assert gpu
    with Monitor(gpu=find_gpu(GFX1151, box.root), root=box.root) as monitor:
        pass
    report = monitor.report
    assert report.unknown == (
        "others_cores",
        "steal",
        "pressure",
        "swapped_bytes",
        "throttled",
        "governor",
        "cpu_MHz",
        "cpu_temp_C",
        "swap_used_bytes",
        "gpu_busy_pct",
        "gpu_sclk_MHz",
        "gpu_power_W",
        "gpu_temp_C",
        "gpu_vram_used_bytes",
        "gpu_gtt_used_bytes",
    )
    assert (report.levels, report.timeline) == ({}, {})
    assert report.energy_joules is None


def test_steal_pressure_and_swap(box: Box) -> None:
    """Their growth over the region counts."""
    pressure = "some avg10=0.00 avg60=0.00 avg300=0.00 total={}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0"
    box.write({"proc/pressure/cpu": pressure.format(5_000_000), "proc/vmstat": "pswpin 10\npswpout 5"})
    box.add_cpu_times(user=100, idle=100, steal=50)
    with Monitor(root=box.root) as monitor:
        box.write({"proc/pressure/cpu": pressure.format(5_500_000), "proc/vmstat": "pswpin 11\npswpout 9"})
        box.add_cpu_times(user=170, idle=120, steal=60)
    report = monitor.report
    assert report.steal == pytest.approx(0.1)
    assert report.pressure["cpu_some"] * report.duration_s == pytest.approx(0.5)
    assert report.pressure["cpu_full"] == 0
    assert report.swapped_bytes == 5 * os.sysconf("SC_PAGE_SIZE")


def test_sensors_of_a_strix_halo(strix_halo: Box) -> None:
    strix_halo.write(
        {
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": 5000000,
            "sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq": 4000000,
            "sys/class/hwmon/hwmon1/name": "nvme",
            "sys/class/hwmon/hwmon1/temp1_input": 30000,
            "sys/class/hwmon/hwmon2/name": "k10temp",
            "sys/class/hwmon/hwmon2/temp1_input": 61500,
            "proc/swaps": "Filename Type Size Used Priority\n/dev/zram0 partition 8388604 2048 100",
        }
    )
    with Monitor(gpu=find_gpu(GFX1151, strix_halo.root), interval_s=0.01, root=strix_halo.root) as monitor:
        _wait_for_a_look(monitor, strix_halo)
        strix_halo.write(
            {
                f"{_DEVICE}/gpu_busy_percent": 99,
                f"{_DEVICE}/pp_dpm_sclk": "0: 600Mhz \n1: 1000Mhz \n2: 2900Mhz *",
                f"{_DEVICE}/hwmon/hwmon4/power1_average": 110000000,
            }
        )
        _wait_for_a_look(monitor, strix_halo)
    report = monitor.report
    assert {name: level.high for name, level in report.levels.items()} == {
        "cpu_MHz": 4500,
        "cpu_temp_C": 61.5,
        "swap_used_bytes": 2 * 2**20,
        "gpu_busy_pct": 99,
        "gpu_sclk_MHz": 2900,
        "gpu_power_W": 110,
        "gpu_temp_C": 41,
        "gpu_vram_used_bytes": 208154624,
        "gpu_gtt_used_bytes": 31457280,
    }
    assert report.levels["gpu_sclk_MHz"].low == 600
    assert report.timeline["gpu_busy_pct"][0] == 0
    assert len(report.at_s) == len(report.timeline["gpu_busy_pct"])
    assert report.at_s == tuple(sorted(report.at_s))
    power = report.levels["gpu_power_W"]
    assert report.energy_joules is not None
    assert power.low * report.duration_s < report.energy_joules < power.high * report.duration_s
    assert report.governor == "powersave"
    assert msgspec.json.decode(msgspec.json.encode(report), type=HostReport) == report


def _metrics_table(*residencies: int, version: tuple[int, int] = (3, 0)) -> bytes:
    """gpu_metrics as gfx1151 writes it: 264 bytes, its padding all ones."""
    table = bytearray(b"\xff" * 264)
    struct.pack_into("<HBB", table, 0, len(table), *version)
    struct.pack_into("<7I", table, 228, *residencies)
    return bytes(table)


def test_throttling_is_told_by_its_limit(strix_halo: Box) -> None:
    metrics = strix_halo.root / _DEVICE / "gpu_metrics"
    metrics.write_bytes(_metrics_table(1, 900, 2, 3, 4, 5, 6))
    count = "sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count"
    strix_halo.write({count: 17})
    with Monitor(gpu=find_gpu(GFX1151, strix_halo.root), root=strix_halo.root) as monitor:
        metrics.write_bytes(_metrics_table(1, 950, 2, 3, 4, 12, 6))
        strix_halo.write({count: 19})
    assert {name: grown for name, grown in monitor.report.throttled.items() if grown} == {
        "gpu_spl": 50,
        "gpu_thm_gfx": 7,
        "cpu_package_throttle": 2,
    }
    assert monitor.report.throttled["gpu_prochot"] == 0


@pytest.mark.parametrize("table", [b"", b"\x08\x01\x03\x00", _metrics_table(*range(7), version=(2, 4))])
def test_other_metrics_tables_are_unknown(strix_halo: Box, table: bytes) -> None:
    (strix_halo.root / _DEVICE / "gpu_metrics").write_bytes(table)
    with Monitor(gpu=find_gpu(GFX1151, strix_halo.root), root=strix_halo.root) as monitor:
        pass
    assert "throttled" in monitor.report.unknown


def test_this_host_can_be_watched() -> None:
    with Monitor(interval_s=0.02) as monitor:
        sum(range(10**6))
    report = monitor.report
    assert report.others_cores is not None
    assert report.steal is not None
    assert report.monitor_cores < 1
    assert report.cpus == os.cpu_count()


def test_error_in_the_region(box: Box) -> None:
    """It passes through, and the report is made."""
    monitor = Monitor(root=box.root)
    with pytest.raises(ZeroDivisionError, match="by zero"), monitor:
        1 / 0  # noqa: B018
    assert monitor.report.duration_s > 0
