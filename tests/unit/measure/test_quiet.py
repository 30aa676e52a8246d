"""Each rule about the host, at both sides of its limit, and on what is not known."""

from __future__ import annotations

import msgspec
import pytest

from tokgate.config.quiet import QuietLimits
from tokgate.machine.host import Culprit, HostReport, Level
from tokgate.measure.quiet import check_host

_QUIET = HostReport(
    duration_s=10.0,
    cpus=2,
    others_cores=0.01,
    culprit=Culprit(name="stress-ng --cpu", pid=4711, cores=0.96, processes=1),
    steal=0.001,
    pressure={"cpu_some": 0.4},
    swapped_bytes=0,
    throttled={"gpu_spl": 5000, "gpu_thm_gfx": 0},
    governor="powersave",
    levels={"gpu_busy_pct": Level(low=0, mean=80, high=99), "gpu_temp_C": Level(low=40, mean=60, high=99.6)},
    at_s=(1.0, 2.0, 3.0),
    timeline={"gpu_busy_pct": (0, 99, 98), "gpu_temp_C": (40, 60, 99.6)},
    unknown=(),
    monitor_cores=0.001,
)
_IDLE_GPU = {"gpu_busy_pct": Level(low=0, mean=0.3, high=1)}


def _details(**changes: object) -> dict[str, str]:
    return _check(QuietLimits(), **changes)


def _check(limits: QuietLimits, **changes: object) -> dict[str, str]:
    problems = check_host(msgspec.structs.replace(_QUIET, **changes), limits)
    return {problem.rule: problem.detail for problem in problems}


def test_quiet_host() -> None:
    """A quiet host has no problems."""
    assert _details() == {}


@pytest.mark.parametrize(
    ("cpus", "others", "busy"),
    [(2, 0.1, False), (2, 0.11, True), (1, 0.06, True), (8, 0.39, False), (32, 0.5, False), (32, 1.0, True)],
)
def test_busy_host(cpus: float, others: float, busy: bool) -> None:
    assert ("host_busy" in _details(cpus=cpus, others_cores=others)) == busy


def test_busy_host_names_the_program() -> None:
    assert _details(others_cores=0.97) == {
        "host_busy": "other processes used 0.97 of 2 cores (limit 0.10), "
        "most of it by stress-ng --cpu (pid 4711), 0.96 cores"
    }
    assert "a process that is not visible" in _details(others_cores=0.97, culprit=None)["host_busy"]


def test_a_profile_sets_limits() -> None:
    """Each limit is the profile's, in both directions, and the message names it."""
    loose = QuietLimits(others_cores=0.5, steal=0.05, swapped_MiB=64)
    some = {"others_cores": 0.4, "steal": 0.04, "swapped_bytes": 50 * 2**20}
    assert _check(QuietLimits(), **some).keys() == {"host_busy", "host_stolen", "host_swapping"}
    assert _check(loose, **some) == {}
    more = _check(loose, others_cores=0.6, steal=0.06, swapped_bytes=65 * 2**20)
    assert [detail.partition("limit ")[2].partition(")")[0] for detail in more.values()] == ["0.50", "5 %", "64 MiB"]
    assert "host_busy" in _check(QuietLimits(others_cores=0.05), others_cores=0.06)


def test_relaxed_limits_are_described() -> None:
    """With the default beside them, which depends on the machine; stricter ones are only recorded."""
    loose = QuietLimits(others_cores=0.5, steal=0.05)
    assert (
        loose.describe_relaxed(2) == "quiet limits relaxed: others_cores 0.5 (default 0.1), steal 0.05 (default 0.015)"
    )
    assert loose.describe_relaxed(32) == "quiet limits relaxed: steal 0.05 (default 0.015)"
    assert QuietLimits().describe_relaxed(2) == QuietLimits(others_cores=0.05).describe_relaxed(2) == ""
    assert QuietLimits().describe_own() == ""
    assert QuietLimits(others_cores=0.05).describe_own() == "quiet limits: others_cores 0.05"


def test_stolen_time() -> None:
    assert _details(steal=0.015) == {}
    assert _details(steal=0.2)["host_stolen"].startswith("the hypervisor gave 20 %")


def test_swapping() -> None:
    assert _details(swapped_bytes=16 * 2**20) == {}
    assert "300 MiB moved" in _details(swapped_bytes=300 * 2**20)["host_swapping"]


@pytest.mark.parametrize("counter", ["gpu_prochot", "gpu_thm_gfx", "cpu_package_throttle"])
def test_heat(counter: str) -> None:
    detail = _details(throttled={counter: 7, "gpu_spl": 1})["host_throttled"]
    assert detail == f"the chip was throttled by heat: {counter} +7 (gpu_temp_C up to 100)"


def test_idle_gpu() -> None:
    detail = _details(levels=_IDLE_GPU, timeline={"gpu_busy_pct": (0, None, 0, 1)})["gpu_idle"]
    assert detail.startswith("the GPU was never more than 1 % busy in 3 readings")


def test_idle_gpu_requires_enough_readings() -> None:
    assert _details(levels=_IDLE_GPU, timeline={"gpu_busy_pct": (0, None, 1)}) == {}


def test_unknown_is_not_a_problem() -> None:
    """What could not be read is not a problem."""
    changes = {"others_cores": None, "steal": None, "swapped_bytes": None}
    assert _details(**changes, throttled={}, levels={}, timeline={}) == {}
