"""One case on one launch that is alone on the machine: warm up, drive, measure, validate."""

from __future__ import annotations

from itertools import count
from time import perf_counter, sleep

import msgspec

from tokgate.config.quiet import QuietLimits
from tokgate.launch.server import Server
from tokgate.machine.monitor import Monitor
from tokgate.measure.bias import check_bias
from tokgate.measure.measurement import Answers, Measurement, Problem
from tokgate.measure.metrics import Pass, output_tps
from tokgate.measure.quiet import check_host, is_disturbed
from tokgate.store.runs import now
from tokgate.suite.instruments import Instruments
from tokgate.suite.passes import (
    Watch,
    add_hardware,
    check_canary,
    check_client_side,
    draw_requests,
    find_gpu,
    make_measurement,
    read_counters,
    send,
)
from tokgate.suite.plan import Case

WARMUP_AGREEMENT = 0.05
"""Two warm-up passes agree when their output rates differ by less than this fraction."""

WARMUP_CAP = 6
"""Passes after which a server that never settles is measured anyway."""

_TIMED = 0
"""Number of the timed pass; those of the warm-up follow it."""

_AGAIN = WARMUP_CAP + 1
"""Number of the pass that replaces a disturbed one."""

_QUIET_WAIT_S = 20.0
"""Longer than most background jobs of a machine, short compared with a launch."""


def measure_case(
    server: Server,
    case: Case,
    instruments: Instruments,
    *,
    launch: int,
    watch: Watch,
    stored: Answers | None = None,
) -> Measurement:
    """Measure `case` on a live server.

    launch: the number of the replicate, from 1.
    watch: called with the progress.
    stored: the model's canary answers in this server's baseline.
    Problems of requests, server, host or client are not raised: they make the measurement invalid.
    A pass that other programs disturbed is repeated once, with other prompts, when the host is quiet.
    """
    case = add_hardware(case, instruments)
    bias = instruments.client_bias(case.workload.concurrency)
    canary, garbage = check_canary(server, case, instruments, stored)
    passes = _warm_up(server, case, launch, watch)
    timed = _measure_pass(server, case, launch=launch, number=_TIMED, watch=watch)
    before: tuple[Problem, ...] = ()
    if is_disturbed(timed.problems):
        before = timed.problems
        _wait_for_quiet(server, case.quiet)
        timed = _measure_pass(server, case, launch=launch, number=_AGAIN, watch=watch)
    tolerance = {str(metric): case.limits(metric)[0] for metric in case.workload.gated}
    problems = (*timed.problems, *garbage, *check_bias(bias, timed.metrics, tolerance))
    return msgspec.structs.replace(
        timed,
        valid=not problems,
        problems=problems,
        warmup_passes=passes,
        bias=bias,
        canary=canary,
        disturbed=before,
    )


def _measure_pass(server: Server, case: Case, *, launch: int, number: int, watch: Watch) -> Measurement:
    """The timed pass, and what is wrong with it."""
    requests = draw_requests(case, case.workload.requests, launch=launch, number=number)
    started, before = now(), read_counters(server)
    with Monitor(server_pids=server.facts.pids, gpu=find_gpu(server)) as monitor:
        result = send(server, case, requests, launch=launch, number=number, stage="timed", watch=watch)
    return make_measurement(
        server,
        case,
        result,
        monitor.report,
        launch=launch,
        started=started,
        counted=(before, read_counters(server)),
        joules=monitor.report.energy_joules,
        disturbed=(*check_client_side(result), *check_host(monitor.report, case.quiet)),
    )


def _wait_for_quiet(server: Server, limits: QuietLimits) -> None:
    """Until nothing else has run for two seconds; the host is judged again after the next pass in any case."""
    until_s = perf_counter() + _QUIET_WAIT_S
    while perf_counter() < until_s:
        with Monitor(server_pids=server.facts.pids) as monitor:
            sleep(2)
        if not check_host(monitor.report, limits):
            return


def _warm_up(server: Server, case: Case, launch: int, watch: Watch) -> int:
    """Passes of the timed shape until two agree; gives how many it took.

    A pass is one request for each stream: prompt length, output length and concurrency are the case's.
    """
    before: float | None = None
    for number in count(1):
        requests = draw_requests(case, case.workload.concurrency, launch=launch, number=number)
        result = send(server, case, requests, launch=launch, number=number, stage=f"warm-up {number}", watch=watch)
        rate = output_tps(Pass(result.samples))
        if rate is None or number == WARMUP_CAP:  # the timed pass will say what is wrong
            return number
        if before is not None and abs(rate / before - 1) < WARMUP_AGREEMENT:
            return number
        before = rate
    raise AssertionError("unreachable")
