"""What a log shows of a run while it goes on, and how long it says that the rest takes."""

from __future__ import annotations

from threading import Event

import msgspec
import pytest

from tokgate._exceptions import LaunchError
from tokgate.drive.load import Progress
from tokgate.judge.plan import Expected, Source
from tokgate.measure.measurement import Measurement, Problem
from tokgate.suite.budget import Budget
from tokgate.suite.estimate import Estimates, ExperimentTime
from tokgate.suite.heartbeat import Heartbeat
from tokgate.suite.observer import Step
from tokgate.suite.rotation import Unit
from tokgate.suite.time_left import TimeLeft

START = Step(server="s", launch=1)
CHAT = Step(server="s", workload="chat", launch=1, of=5)


def estimates(*workloads: str, source: Source = "measured", **hypotheses_s: float) -> Estimates:
    """A start takes 10 s, `chat` 20 s and `code` 40 s."""
    cells = tuple(
        Expected(
            server="s",
            workload=workload,
            metric=metric,
            startup_s=10.0,
            pass_s={"chat": 20.0, "code": 40.0}[workload],
            source=source,
            tolerance=0.03,
            promise=0.05,
        )
        for workload in workloads
        for metric in ("decode_tps", "ttft_s")
    )
    experiments = {
        name: ExperimentTime(before_s=0.0, block_s=seconds / 2, source="measured")
        for name, seconds in hypotheses_s.items()
    }
    return Estimates(cells=cells, experiments=experiments)


def left(made: Estimates, budget: Budget | None = None) -> TimeLeft:
    return TimeLeft(made, budget, launches=5, blocks=2)


def test_the_time_left_is_estimated_before_the_run() -> None:
    time_left = left(estimates("chat", "code", h=100.0))
    assert time_left.estimate_s() == 5 * (10 + 20 + 40) + 100
    assert (time_left.done, time_left.total) == (0, 10)


def test_this_run_counts_more_than_estimates() -> None:
    """What was measured now replaces what was expected."""
    time_left = left(estimates("chat", "code"))
    time_left.add(START, 2.0)
    time_left.add(CHAT, 30.0)
    assert time_left.estimate_s() == 4 * 2 + 4 * 30 + 5 * 40
    assert (time_left.done, time_left.total) == (1, 10)


def test_a_first_run_corrects_its_estimates() -> None:
    """Times that no run shows are as far off as those that were measured since."""
    time_left = left(estimates("chat", "code", source="assumed"))
    time_left.add(START, 2.0)
    time_left.add(CHAT, 10.0)
    assert time_left.estimate_s() == 4 * 2 + 4 * 10 + 5 * 20


def test_a_repeat_launch_is_counted() -> None:
    time_left = left(estimates("chat"))
    for _ in range(6):
        time_left.add(CHAT, 20.0)
    assert (time_left.done, time_left.total, time_left.estimate_s()) == (6, 6, 0.0)


def test_a_hypothesis_takes_time_until_it_ends() -> None:
    """Its launches use up what it was expected to take, and are not counted with those of the gate."""
    time_left = left(estimates(h=100.0))
    time_left.add(Step(server="h/a", launch=1), 5.0)
    time_left.add(Step(server="h/a", workload="chat", launch=1), 30.0)
    assert (time_left.estimate_s(), time_left.done, time_left.total) == (65.0, 0, 0)
    time_left.end("h")
    assert time_left.estimate_s() == 0.0


def test_a_budget_limits_the_time_left() -> None:
    made, now = estimates("chat"), [0.0]
    units = [Unit(name="chat", cases=(made.cells[0].case,), launches=3)]
    budget = Budget(100, made.cells, units, timed=made.timed, family=2, clock=lambda: now[0])
    assert left(made, budget).estimate_s() == 90, "3 launches of 30 s fit"
    now[0] = 60.0
    assert left(made, budget).estimate_s() == 40
    assert left(estimates("chat", h=1.0), budget).estimate_s() == 40, "hypotheses use the rest of the budget"


def test_a_measured_cell_is_a_line(bare_measurement: Measurement) -> None:
    lines: list[str] = []
    heartbeat = Heartbeat(lines.append, left(estimates("chat")))
    with heartbeat.during(START):
        pass
    with heartbeat.during(CHAT):
        pass
    heartbeat.report(CHAT, bare_measurement)
    assert lines == ["1/5 s × chat, launch 1/5: decode_tps 10.00 tok/s · 0s"], "nothing is left of 4 × 0 s"
    slow = Heartbeat(lines.append, left(estimates("chat")))
    slow.report(CHAT, bare_measurement)
    assert lines[-1] == "0/5 s × chat, launch 1/5: decode_tps 10.00 tok/s · 0s · about 2m30s left"


def test_an_invalid_cell_says_why(bare_measurement: Measurement) -> None:
    problem = Problem(rule="host_busy", detail="a compiler ran")
    lines: list[str] = []
    invalid = msgspec.structs.replace(bare_measurement, valid=False, problems=(problem,))
    Heartbeat(lines.append).report(Step(server="h/a", workload="chat", launch=2), invalid)
    assert lines == ["h/a × chat, launch 2: decode_tps 10.00 tok/s; INVALID: host_busy: a compiler ran · 0s"]


def test_no_step_is_silent_for_long() -> None:
    """Lines come while a step lasts, with its progress, and none after it."""
    lines: list[str] = []
    spoke = Event()

    def say(line: str) -> None:
        lines.append(line)
        spoke.set()

    heartbeat = Heartbeat(say, silence_s=0.01)
    with heartbeat.during(START):
        assert spoke.wait(60)
    assert lines[0].startswith("s, launch 1: starting · ")
    lines.clear()
    with heartbeat.during(CHAT) as watch:
        watch("warm-up 1", Progress(completed=2, total=8, arrivals=50, elapsed_s=2.0))
        lines.clear()
        spoke.clear()
        assert spoke.wait(60)
    assert lines[0].startswith("s × chat, launch 1/5: warm-up 1, 2 of 8 requests, 25.00 tok/s · ")
    count = len(lines)
    Event().wait(0.05)
    assert len(lines) == count


def test_a_short_step_prints_nothing() -> None:
    lines: list[str] = []
    with Heartbeat(lines.append).during(START):
        pass
    assert lines == []


def test_a_failed_start_is_a_line() -> None:
    lines: list[str] = []
    with pytest.raises(LaunchError), Heartbeat(lines.append).during(START):
        raise LaunchError("it exited\nand more", server="s")
    assert lines == ["s, launch 1: starting: failed: server s: it exited"]
