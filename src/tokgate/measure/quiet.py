"""When the host was not quiet, so that a measurement on it is not valid: pure rules, with evidence.

What could not be read is not a problem here: the report lists it as unknown.
"""

from __future__ import annotations

from collections.abc import Iterable

from tokgate.config.quiet import QuietLimits
from tokgate.config.words import format_percent
from tokgate.machine.host import HostReport
from tokgate.measure.measurement import Problem

GPU_IDLE_PCT, GPU_LOOKS = 5.0, 3
"""A GPU whose load was never above this percentage, in at least this number of readings, did not make the tokens."""

# Throttling by heat varies from run to run. Power limits (AMD: gpu_spl, gpu_fppt, gpu_sppt; NVIDIA: gpu_power_cap_ns)
# do not count: one of them always limits a busy APU, above all in prefill; they are in the report.
_HEAT = (
    "cpu_core_throttle", "cpu_package_throttle",
    "gpu_prochot", "gpu_thm_core", "gpu_thm_gfx", "gpu_thm_soc",
    "gpu_thermal_ns", "gpu_sw_thermal_ns", "gpu_hw_thermal_ns",
)  # fmt: skip


PASSING = frozenset({"host_busy", "host_stolen", "host_swapping", "client_late", "client_server_disagree"})
"""Rules that other programs on this machine can break, so that a second pass may be valid."""

SHARED = frozenset({"host_busy", "host_stolen", "host_throttled"})
"""Rules about what slows all arms of a duet alike, so that their ratio stays right."""


def is_disturbed(problems: Iterable[Problem]) -> bool:
    """Whether other programs are the only problem, so that a second pass is worthwhile."""
    rules = {problem.rule for problem in problems}
    return bool(rules) and rules <= PASSING


def check_host(report: HostReport, limits: QuietLimits) -> tuple[Problem, ...]:
    """Everything the host did in the region of `report` that makes a measurement invalid. limits: of the profile."""
    details = {
        "host_busy": _busy(report, limits.find_others_cores(report.cpus)),
        "host_stolen": _stolen(report, limits.steal),
        "host_swapping": _swapping(report, limits.swapped_MiB),
        "host_throttled": _throttled(report),
        "gpu_idle": _gpu_idle(report),
    }
    return tuple(Problem(rule=rule, detail=detail) for rule, detail in details.items() if detail is not None)


def _busy(report: HostReport, limit: float) -> str | None:
    if report.others_cores is None or report.others_cores <= limit:
        return None
    whom = report.culprit or "a process that is not visible (it has ended, or runs outside this container)"
    return (
        f"other processes used {report.others_cores:.2f} of {report.cpus} cores (limit {limit:.2f}), "
        f"most of it by {whom}"
    )


def _stolen(report: HostReport, limit: float) -> str | None:
    if report.steal is None or report.steal <= limit:
        return None
    return f"the hypervisor gave {format_percent(report.steal)} of this machine's CPU time to others (limit {format_percent(limit)})"


def _swapping(report: HostReport, limit_MiB: float) -> str | None:
    if report.swapped_bytes is None or report.swapped_bytes <= limit_MiB * 2**20:
        return None
    return f"{report.swapped_bytes / 2**20:.0f} MiB moved to or from swap (limit {limit_MiB:.0f} MiB)"


def _throttled(report: HostReport) -> str | None:
    grown = {name: report.throttled[name] for name in _HEAT if report.throttled.get(name)}
    if not grown:
        return None
    counters = ", ".join(f"{name} +{count}" for name, count in grown.items())
    highs = [f"{name} up to {level.high:.0f}" for name, level in report.levels.items() if name.endswith("_temp_C")]
    return f"the chip was throttled by heat: {counters}" + (f" ({', '.join(highs)})" if highs else "")


def _gpu_idle(report: HostReport) -> str | None:
    busy = report.levels.get("gpu_busy_pct")
    if busy is None or busy.high > GPU_IDLE_PCT:
        return None
    looks = sum(value is not None for value in report.timeline["gpu_busy_pct"])
    if looks < GPU_LOOKS:
        return None
    return (
        f"the GPU was never more than {busy.high:.0f} % busy in {looks} readings (limit {GPU_IDLE_PCT:.0f} %): "
        "it did not make these tokens"
    )
