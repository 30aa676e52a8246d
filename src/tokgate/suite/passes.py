"""Passes: requests of one case sent to a live server, and the measurement that they give."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from tokgate import engines
from tokgate._exceptions import LaunchError, ServerUnreachable
from tokgate.config.server import AttachLaunch, DockerLaunch
from tokgate.drive.client import Endpoint, Request
from tokgate.drive.load import DriveResult, Progress, drive
from tokgate.drive.prompts import make_requests
from tokgate.drive.scrape import scrape, subtract
from tokgate.launch.server import Server
from tokgate.machine.devices import find_gpu_of, find_gpus
from tokgate.machine.gpu import Gpu
from tokgate.machine.host import HostReport
from tokgate.machine.nvidia import find_nvidia_gpus
from tokgate.measure.canary import check_answers
from tokgate.measure.counts import drop_implausible
from tokgate.measure.measurement import Answers, Canary, Measurement, Problem
from tokgate.measure.metrics import Pass, compute_context, compute_gated, compute_metrics
from tokgate.measure.reconcile import check_counters, check_timings
from tokgate.measure.roofline import check_roofline, compute_roofline
from tokgate.measure.validity import check_client, check_gated, check_samples
from tokgate.suite.instruments import Instruments
from tokgate.suite.plan import Case

Watch = Callable[[str, Progress], None]
"""Called with what runs now (`warm-up 1`, `timed`) and its progress."""

Counters = Mapping[str, float]
"""What an engine has counted, by name; empty where it has no such page."""


def add_hardware(case: Case, instruments: Instruments) -> Case:
    """The case with what this machine reaches, where its profile names no chip and the machine's CPUs make the tokens."""
    return msgspec.structs.replace(case, hardware=case.hardware or instruments.speed(case.server))


def draw_requests(case: Case, count: int, *, launch: int, number: int) -> tuple[Request, ...]:
    """Requests of one pass. number: of the pass; each pass of each launch has prefixes of its own."""
    return make_requests(case.prompts, count, seed=_seed(case, launch, number), max_tokens=case.workload.max_tokens)


def send(
    server: Server, case: Case, requests: Sequence[Request], *, launch: int, number: int, stage: str, watch: Watch
) -> DriveResult:
    """Send these requests in the shape of the case's load. launch, number: as of `draw_requests`; stage: for `watch`."""
    workload, facts = case.workload, server.facts
    engine = engines.find(facts.engine)
    return drive(
        Endpoint(
            base_url=facts.base_url,
            model=facts.model,
            engine=engine,
            body=engine.timed_body(case.server.request),
        ),
        requests,
        workload.load,
        seed=_seed(case, launch, number),
        request_timeout_s=workload.request_timeout,
        stall_timeout_s=workload.stall_timeout,
        on_progress=lambda progress: watch(stage, progress),
    )


def check_canary(
    server: Server, case: Case, instruments: Instruments, stored: Answers | None
) -> tuple[Canary | None, tuple[Problem, ...]]:
    """What the model answers on this launch, and what is wrong with it; None without canary questions."""
    if case.canary is None:
        return None, ()
    answers = instruments.canary_answers(server, case.canary)
    return check_answers(case.canary, answers, stored, sensible=not case.server.model.random_weights)


def read_counters(server: Server) -> Counters:
    """What the engine has counted so far."""
    counters = engines.find(server.facts.engine).counters
    if counters is None:
        return {}
    try:
        return scrape(f"{server.facts.base_url}{counters.path}") or {}
    except (ServerUnreachable, ValueError):
        return {}


def make_measurement(
    server: Server,
    case: Case,
    result: DriveResult,
    host: HostReport,
    *,
    launch: int,
    started: str,
    counted: tuple[Counters, Counters],
    joules: float | None,
    disturbed: Sequence[Problem],
) -> Measurement:
    """The measurement of one pass, valid unless something is wrong with it.

    counted: the engine's counters before and after it.
    joules: the energy that it took; None where that is unknown.
    disturbed: what the host or the client did that makes it invalid.
    Nothing is known yet of its warm-up and of the model's answers.
    """
    model = case.server.model
    read = model.bytes_read(compute_context(drop_implausible(result.samples)))
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
        joules=joules,
    )
    metrics, gated = compute_metrics(timed), compute_gated(timed, case.workload)
    problems = (
        *_died(server),
        *check_samples(result.samples),
        *check_gated(gated, case.workload),
        *check_counters(result.samples, subtract(*counted), engines.find(server.facts.engine).counters),
        *disturbed,
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
        gated=gated,
        facts=server.facts,
        warmup_passes=0,
        host=host,
        client_cpu_s=result.client_cpu_s,
        max_lag_s=result.max_lag_s,
        samples=result.samples,
        roofline=roof,
    )


def check_client_side(result: DriveResult) -> tuple[Problem, ...]:
    """What this client, or what kept it from running, did to the times of a pass."""
    return (
        *check_timings(result.samples),
        *check_client(max_lag_s=result.max_lag_s, client_cpu_s=result.client_cpu_s, wall_s=result.wall_s),
    )


def find_gpu(server: Server) -> Gpu | None:
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


def _died(server: Server) -> tuple[Problem, ...]:
    try:
        server.check_alive()
    except (LaunchError, ServerUnreachable) as error:
        return (Problem(rule="server_gone", detail=str(error)),)
    return ()


def _seed(case: Case, launch: int, number: int) -> int:
    """A seed of its own for each pass of each launch, so that no two share a prompt prefix."""
    return (case.workload.seed * 1000 + launch) * 100 + number
