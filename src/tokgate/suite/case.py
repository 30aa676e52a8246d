"""One case on one launch: warm up, drive, measure, validate."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from time import perf_counter, sleep

import msgspec

from tokgate import engines
from tokgate._exceptions import LaunchError, ServerUnreachable
from tokgate.config.quiet import QuietLimits
from tokgate.config.server import AttachLaunch, DockerLaunch, EmbeddedLaunch
from tokgate.drive.client import Endpoint
from tokgate.drive.load import DriveResult, Progress, drive
from tokgate.drive.prompts import make_requests
from tokgate.drive.scrape import scrape, subtract
from tokgate.launch.server import Server
from tokgate.machine.devices import find_gpu_of, find_gpus
from tokgate.machine.gpu import Gpu
from tokgate.machine.monitor import Monitor
from tokgate.machine.nvidia import find_nvidia_gpus
from tokgate.machine.yardstick import measure_cpu_gflops
from tokgate.measure.bias import check_bias
from tokgate.measure.canary import check_answers
from tokgate.measure.measurement import Answers, Canary, Measurement, Problem
from tokgate.measure.metrics import Pass, compute_context, compute_gated, compute_metrics, output_tps
from tokgate.measure.quiet import check_host, is_disturbed
from tokgate.measure.reconcile import check_counters, check_timings
from tokgate.measure.roofline import check_roofline, compute_roofline
from tokgate.measure.validity import check_client, check_gated, check_samples
from tokgate.store.runs import now
from tokgate.suite.instruments import Instruments
from tokgate.suite.plan import Case

WARMUP_AGREEMENT = 0.05
"""Two warm-up passes agree when their output rates differ by less than this fraction."""

WARMUP_CAP = 6
"""Passes after which a server that never settles is measured anyway."""

_AGAIN = WARMUP_CAP + 1
"""Number of the pass that follows a disturbed one; 0 is the timed one, then come those of the warm-up."""

_QUIET_WAIT_S = 20.0
"""Longer than most background jobs of a machine, short compared with a launch."""

Watch = Callable[[str, Progress], None]
"""Called with what runs now (`warm-up 1`, `timed`) and its progress."""


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
    if case.hardware is None:
        case = msgspec.structs.replace(case, hardware=instruments.speed(server.spec))
    bias = instruments.client_bias(case.workload.concurrency)
    canary, garbage = _check_canary(server, case, instruments, stored)
    pace = measure_cpu_gflops() if _on_cpu(server) else None
    passes = _warm_up(server, case, launch, watch)
    timed_pass = _timed(server, case, launch=launch, seed=_seed(case, launch, 0), watch=watch)
    before: tuple[Problem, ...] = ()
    if is_disturbed(timed_pass.problems):
        before = timed_pass.problems
        _wait_for_quiet(server, case.quiet)
        timed_pass = _timed(server, case, launch=launch, seed=_seed(case, launch, _AGAIN), watch=watch)
    tolerance = {str(metric): case.limits(metric)[0] for metric in case.workload.gated}
    problems = (*timed_pass.problems, *garbage, *check_bias(bias, timed_pass.metrics, tolerance))
    return msgspec.structs.replace(
        timed_pass,
        valid=not problems,
        problems=problems,
        warmup_passes=passes,
        cpu_gflops=pace,
        bias=bias,
        canary=canary,
        disturbed=before,
    )


def _check_canary(
    server: Server, case: Case, instruments: Instruments, stored: Answers | None
) -> tuple[Canary | None, tuple[Problem, ...]]:
    """What the model answers on this launch, and what is wrong with it; None without canary questions."""
    if case.canary is None:
        return None, ()
    answers = instruments.canary_answers(server, case.canary)
    return check_answers(case.canary, answers, stored, sensible=not case.server.model.random_weights)


def _timed(server: Server, case: Case, *, launch: int, seed: int, watch: Watch) -> Measurement:
    """The timed pass, and what is wrong with it; nothing is known yet of its warm-up and of the output."""
    started, before = now(), _counters(server)
    with Monitor(server_pids=server.facts.pids, gpu=_gpu(server)) as monitor:
        result = _drive(server, case, seed=seed, requests=case.workload.requests, watch=watch)
    after = _counters(server)
    model = case.server.model
    read = model.bytes_read(compute_context(result.samples))
    roof = compute_roofline(
        case.hardware,
        bytes_per_token=read,
        parameters_per_token=model.parameters_per_token,
        streams=case.workload.concurrency,
    )
    timed = Pass(
        result.samples,
        streams=case.workload.concurrency,
        limits=case.workload.limits,
        bytes_per_token=read,
        joules=monitor.report.energy_joules,
    )
    metrics = compute_metrics(timed)
    statistics = compute_gated(timed, case.workload)
    problems = (
        *_died(server),
        *check_samples(result.samples),
        *check_gated(statistics, case.workload),
        *check_timings(result.samples),
        *check_counters(result.samples, subtract(before, after), engines.find(server.facts.engine).counters),
        *check_client(max_lag_s=result.max_lag_s, client_cpu_s=result.client_cpu_s, wall_s=result.wall_s),
        *check_host(monitor.report, case.quiet),
        *check_roofline(roof, metrics),
    )
    return Measurement(
        server=case.server.name,
        workload=case.workload.name,
        launch=launch,
        started=started,
        valid=not problems,
        problems=problems,
        metrics=metrics,
        gated=statistics,
        facts=server.facts,
        warmup_passes=0,
        host=monitor.report,
        client_cpu_s=result.client_cpu_s,
        max_lag_s=result.max_lag_s,
        samples=result.samples,
        roofline=roof,
    )


def _wait_for_quiet(server: Server, limits: QuietLimits) -> None:
    """Until nothing else has run for two seconds; the host is judged again after the next pass in any case."""
    until_s = perf_counter() + _QUIET_WAIT_S
    while perf_counter() < until_s:
        with Monitor(server_pids=server.facts.pids) as monitor:
            sleep(2)
        if not check_host(monitor.report, limits):
            return


def _counters(server: Server) -> dict[str, float]:
    """What the engine has counted so far; empty where it has no such page."""
    counters = engines.find(server.facts.engine).counters
    if counters is None:
        return {}
    try:
        return scrape(f"{server.facts.base_url}{counters.path}") or {}
    except (ServerUnreachable, ValueError):
        return {}


def _titled(watch: Watch, stage: str) -> Watch:
    return lambda _, progress: watch(stage, progress)


def _warm_up(server: Server, case: Case, launch: int, watch: Watch) -> int:
    """Passes of the timed shape until two agree; gives how many it took.

    A pass is one request for each stream: prompt length, output length and concurrency are the case's.
    """
    before: float | None = None
    for number in count(1):
        result = _drive(
            server,
            case,
            seed=_seed(case, launch, number),
            requests=case.workload.concurrency,
            watch=_titled(watch, f"warm-up {number}"),
        )
        rate = output_tps(Pass(result.samples))
        if rate is None or number == WARMUP_CAP:  # the timed pass will say what is wrong
            return number
        if before is not None and abs(rate / before - 1) < WARMUP_AGREEMENT:
            return number
        before = rate
    raise AssertionError("unreachable")


def _drive(server: Server, case: Case, *, seed: int, requests: int, watch: Watch) -> DriveResult:
    workload, facts = case.workload, server.facts
    engine = engines.find(facts.engine)
    return drive(
        Endpoint(
            base_url=facts.base_url,
            model=facts.model,
            engine=engine,
            body=engine.timed_body(case.server.request),
        ),
        make_requests(case.prompts, requests, seed=seed, max_tokens=workload.max_tokens),
        workload.load,
        seed=seed,
        request_timeout_s=workload.request_timeout,
        stall_timeout_s=workload.stall_timeout,
        on_progress=lambda progress: watch("timed", progress),
    )


def _seed(case: Case, launch: int, number: int) -> int:
    """A seed of its own for each pass of each launch, so that no two share a prompt prefix."""
    return (case.workload.seed * 1000 + launch) * 100 + number


def _died(server: Server) -> tuple[Problem, ...]:
    try:
        server.check_alive()
    except (LaunchError, ServerUnreachable) as error:
        return (Problem(rule="server_gone", detail=str(error)),)
    return ()


def _gpu(server: Server) -> Gpu | None:
    """The GPU whose activity is evidence: the first that the server was given, or holds open if started elsewhere."""
    match server.spec.launch:
        case DockerLaunch(gpus=str() | int() as gpus):
            return next((gpu for gpu in find_nvidia_gpus() if gpu.is_requested(gpus)), None)
        case DockerLaunch(devices=(_, *_)):
            return next(iter(find_gpus()), None)
        case AttachLaunch():
            return find_gpu_of(server.facts.pids or (), find_gpus())
        case _:
            return None


def _on_cpu(server: Server) -> bool:
    """Whether this machine's CPUs make the tokens, so that their pace explains the server's."""
    match server.spec.launch:
        case DockerLaunch(devices=devices, gpus=gpus):
            return not devices and gpus is None
        case EmbeddedLaunch():
            return True
        case AttachLaunch():
            return False  # it may be anywhere, on anything
