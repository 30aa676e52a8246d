"""Whatever the files of /proc and /sys contain, a value is read or unknown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tokgate.machine.amd import find_amd_gpus
from tokgate.machine.fingerprint import compute_fingerprint_id, read_fingerprint
from tokgate.machine.monitor import Monitor
from tokgate.machine.nvidia import list_gpus
from tokgate.machine.processes import find_listeners, read_processes
from tokgate.machine.sensors import (
    host_levels,
    read_cpu,
    read_pressure,
    read_swapped_pages,
    read_throttle_counters,
)
from tokgate.machine.speed import read_cache_bytes

FILES = (
    "proc/stat", "proc/swaps", "proc/vmstat", "proc/cpuinfo", "proc/meminfo", "proc/cmdline", "proc/net/tcp",
    "proc/pressure/cpu", "proc/self/cgroup", "proc/self/status", "proc/7/stat", "proc/7/cmdline", "sys/fs/cgroup/cpu.max",
    "sys/class/kfd/kfd/topology/nodes/1/properties", "sys/class/hwmon/hwmon0/name", "sys/class/hwmon/hwmon0/temp1_input",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "sys/devices/system/cpu/cpu0/cache/index0/level",
    "sys/devices/system/cpu/cpu0/cache/index0/size", "sys/devices/system/cpu/cpu0/cache/index0/shared_cpu_list",
    "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "sys/module/ttm/parameters/pages_limit",
    "sys/class/dmi/id/bios_version", "var/lib/dpkg/status", "etc/os-release", "etc/machine-id",
)  # fmt: skip
WORDS = st.sampled_from(
    [
        "cpu ", "cpu0 ", "1 2 3 4 5 6 7 8 9", "-1", "0", "max", "²", "٣", "9" * 5000, "9" * 30, "1e9", "nan", "0x", ":", "=",
        "some avg10=0.00 total=", "total=12", "MemTotal: ", " kB", "Cpus_allowed_list: ", "0-", "0-3,x", "0::/a/../..", "0:",
        "4:cpu", "gfx_target_version ", "110501", "drm_render_minor ", "location_id ", "domain ", "pswpin ", "pswpout ",
        "procs_running ", "7 (x) S 1", "7 (", ")", "K", "32K", "k10temp", "\n", "\n", "\n", " ", "\0", "\x1b[31m", "100000 0",
        "Filename Type Size Used Priority\n", "/swap file 5 6 -2", "  sl local\n 0: 0:1F90 0:0 0A 0 0 0 0 0 77", "Package: mesa\n",
    ]
)  # fmt: skip
CONTENT = st.one_of(st.binary(max_size=30), st.lists(WORDS, max_size=14).map(lambda words: "".join(words).encode()))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(FILES), CONTENT, max_size=len(FILES)))
def test_any_content(tmp_path: Path, files: dict[str, bytes]) -> None:
    for name in FILES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(files.get(name, b""))
    fingerprint = read_fingerprint(tmp_path)
    compute_fingerprint_id(fingerprint)
    msgspec.json.encode(fingerprint)
    levels = {name: reader() for name, reader in host_levels(tmp_path).items()}
    for gpu in find_amd_gpus(tmp_path):
        levels |= {name: reader() for name, reader in gpu.make_readers().items()}
        read_throttle_counters(tmp_path, gpu)
    read = (read_cpu(tmp_path), read_pressure(tmp_path), read_swapped_pages(tmp_path), read_processes(tmp_path))
    msgspec.json.encode((levels, read))
    find_listeners(8080, tmp_path)
    read_cache_bytes(tmp_path / "sys/devices/system/cpu")


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(FILES[:14]), CONTENT, max_size=14))
def test_any_content_while_measuring(tmp_path: Path, files: dict[str, bytes]) -> None:
    for name in FILES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(files.get(name, b""))
    with Monitor(server_pids=(7,), root=tmp_path) as monitor:
        pass
    msgspec.json.encode(monitor.report)


class Nvml:
    """A library whose functions fail, except for those that list two GPUs and name the second."""

    class NVMLError(Exception):
        pass

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __getattr__(self, function: str) -> Any:
        def call(*arguments: Any) -> Any:
            match function, arguments:
                case "nvmlInit", ():
                    return None
                case "nvmlSystemGetDriverVersion", ():
                    return "\x1b[31m580"
                case "nvmlDeviceGetCount", ():
                    return 2
                case "nvmlDeviceGetHandleByIndex", (number,):
                    return number
                case "nvmlDeviceGetName", (1,):
                    return "H100 \x1b[31m"
            raise self.error

        return call


def test_library_that_fails() -> None:
    """A GPU without a name is left out; every other value is unknown."""
    for error in (Nvml.NVMLError("lost"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")):
        (gpu,) = list_gpus(Nvml(error))
        assert gpu.number == 1
        assert {reader() for reader in gpu.make_readers().values()} == {None}
        assert gpu.read_throttle_counters() == {}
        assert gpu.read_memory().vram_total is None
