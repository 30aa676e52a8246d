"""Duet: one workload on servers that are alive together and work in turns, so that what the machine does to one of
them it does to all.

A round is one wave of requests (as many as the workload has streams) to each server, with the same prompts; the order
is reversed from round to round. While one server works, the others are held idle. Only the ratio of their values in
a round counts. The idea is duet benchmarking (Bulej et al., ICPE 2020).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from math import ceil
from time import perf_counter

import msgspec

from tokgate.config.quiet import QuietLimits
from tokgate.config.workload import Workload
from tokgate.drive.load import DriveResult
from tokgate.drive.sample import Sample
from tokgate.launch.idle import hold_idle
from tokgate.launch.server import Server
from tokgate.machine.host import HostReport
from tokgate.machine.monitor import Monitor
from tokgate.measure.measurement import Measurement, Problem
from tokgate.measure.metrics import Pass, compute_gated
from tokgate.measure.quiet import SHARED, check_host
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

MOST_ROUNDS, ROUNDS_S = 12, 8.0
"""Rounds of one launch, and the seconds after which no further one starts. More rounds say more about this launch, but
launches differ too: on a virtual machine by 2 to 4 %, as much as six rounds of a second leave open. So after some
seconds another launch says more than another round."""

LONGEST_S = 16.0
"""Seconds after which no further round starts, also if other programs have disturbed most of them so far."""

LEAST_ROUNDS = 3
"""However long they take: the median of three ignores one that was disturbed."""

_ROUNDS, _WARM_UP = 0, 1
"""Numbers of the passes."""


class _Round(msgspec.Struct, frozen=True, eq=False):
    """What one wave of requests gave each arm, and what the host did meanwhile, by arm."""

    results: dict[str, DriveResult]
    hosts: dict[str, HostReport]

    @property
    def on_time(self) -> bool:
        """Whether the client was on time for all arms."""
        return not any(map(check_client_side, self.results.values()))

    @property
    def taken_cores(self) -> float:
        """CPUs that others, on this machine or its host, took from the arm that had fewest; 0 where that is unknown."""
        return max((host.others_cores or 0.0) + (host.steal or 0.0) * host.cpus for host in self.hosts.values())

    def problems(self, arm: str, limits: QuietLimits) -> tuple[Problem, ...]:
        """What other programs did to the client, and what they took of the machine."""
        host = check_host(self.hosts[arm], limits)
        return (*check_client_side(self.results[arm]), *(problem for problem in host if problem.rule in SHARED))

    def is_quiet(self, limits: QuietLimits) -> bool:
        return not any(self.problems(arm, limits) for arm in self.results)


def _choose_rounds(rounds: Sequence[_Round], limits: QuietLimits) -> list[_Round]:
    """The rounds that count: those in which other programs took least from any arm, and at least half of them.

    What other programs do lasts for seconds and slows all arms, so their ratio stays right on average. But a burst that
    meets one arm only can slow it ninefold, because an engine's threads wait for each other. The choice does not depend
    on how fast an arm was. A round in which the client was late never counts.
    """
    on_time = [of_all for of_all in rounds if of_all.on_time]
    quiet = sum(of_all.is_quiet(limits) for of_all in on_time)
    fewest = max(quiet, ceil(len(on_time) / 2), LEAST_ROUNDS)
    least_taken = sorted(on_time, key=lambda of_all: of_all.taken_cores)[:fewest]
    return [of_all for of_all in on_time if of_all in least_taken]


def measure_duet(
    servers: Mapping[str, Server],
    cases: Mapping[str, Case],
    instruments: Instruments,
    *,
    launch: int,
    watch: Watch,
) -> dict[str, Measurement]:
    """Measure one workload on servers that are alive together, all idle; by arm, each with the same `rounds`.

    servers, cases: by arm, in the order of the first round. launch: number of this launch of all of them, from 1.
    Problems of requests, servers or host are not raised: they make a measurement invalid. Other programs, a
    throttled chip and a hypervisor do not: they slow all arms alike, and rounds that they disturbed are left out
    (see `_choose_rounds`).
    Raises LaunchError: a server has ended, was not idle while another one worked, or does not wake up.
    """
    cases = {arm: add_hardware(case, instruments) for arm, case in cases.items()}
    answers = {}
    for arm, server in servers.items():
        with _others_idle(servers, arm):
            answers[arm] = check_canary(server, cases[arm], instruments, None)
            requests = draw_requests(cases[arm], cases[arm].workload.concurrency, launch=launch, number=_WARM_UP)
            send(server, cases[arm], requests, launch=launch, number=_WARM_UP, stage="warm-up", watch=watch)
    started, before = now(), {arm: read_counters(server) for arm, server in servers.items()}
    heads = [server.facts.pids for server in servers.values()]
    pids = None if None in heads else [pid for of_arm in heads for pid in of_arm or ()]
    limits = next(iter(cases.values())).quiet
    with Monitor(server_pids=pids, gpu=find_gpu(next(iter(servers.values())))) as monitor:
        rounds = _run_rounds(servers, cases, launch=launch, pids=pids, watch=watch)
    counting = _choose_rounds(rounds, limits)
    left_out = [of_all for of_all in rounds if of_all not in counting]
    host = [problem for problem in check_host(monitor.report, limits) if problem.rule not in SHARED]
    measurements = {}
    for arm, server in servers.items():
        late = [problem for of_all in rounds for problem in check_client_side(of_all.results[arm])]
        left_out_for = tuple(problem for of_all in left_out for problem in of_all.problems(arm, limits))
        measurement = make_measurement(
            server,
            cases[arm],
            _join([of_all.results[arm] for of_all in rounds]),
            monitor.report,
            launch=launch,
            started=started,
            counted=(before[arm], read_counters(server)),
            joules=None,  # what a sensor counts is the energy of all arms
            disturbed=(*host, *(late if len(counting) < LEAST_ROUNDS else ())),
        )
        canary, garbage = answers[arm]
        problems = (*measurement.problems, *garbage)
        measurements[arm] = msgspec.structs.replace(
            measurement,
            valid=not problems,
            problems=problems,
            warmup_passes=1,
            canary=canary,
            disturbed=left_out_for,
            rounds=_collect(cases[arm], [of_all.results[arm] for of_all in counting]),
        )
    return measurements


@contextmanager
def _others_idle(servers: Mapping[str, Server], arm: str) -> Iterator[None]:
    """All servers but that of `arm` are held idle."""
    with ExitStack() as stack:
        for other, server in servers.items():
            if other != arm:
                stack.enter_context(hold_idle(server))
        yield


def _run_rounds(
    servers: Mapping[str, Server],
    cases: Mapping[str, Case],
    *,
    launch: int,
    pids: Sequence[int] | None,
    watch: Watch,
) -> list[_Round]:
    first = next(iter(cases.values()))
    wave, least = first.workload.concurrency, _count_least(first.workload)
    requests = {
        arm: draw_requests(case, MOST_ROUNDS * wave, launch=launch, number=_ROUNDS) for arm, case in cases.items()
    }
    rounds: list[_Round] = []
    quiet = 0
    began = perf_counter()
    for number in range(MOST_ROUNDS):
        results, hosts = {}, {}
        for arm in servers if number % 2 == 0 else reversed(list(servers)):
            with _others_idle(servers, arm), Monitor(server_pids=pids) as monitor:
                results[arm] = send(
                    servers[arm],
                    cases[arm],
                    requests[arm][number * wave : (number + 1) * wave],
                    launch=launch,
                    number=_ROUNDS,
                    stage=f"round {number + 1}",
                    watch=watch,
                )
            hosts[arm] = monitor.report
        rounds.append(_Round(results, hosts))
        quiet += rounds[-1].is_quiet(first.quiet)
        spent_s = perf_counter() - began
        # A disturbed machine gets more time.
        enough = len(rounds) >= least and (quiet >= LEAST_ROUNDS or spent_s > LONGEST_S)
        if (spent_s > ROUNDS_S and enough) or _failed(rounds[-1]):
            break
    return rounds


def count_rounds(workload: Workload, round_s: float) -> int:
    """Rounds of one launch, when a round of all arms takes `round_s` seconds."""
    return max(_count_least(workload), min(MOST_ROUNDS, int(ROUNDS_S / round_s)))


def _count_least(workload: Workload) -> int:
    """Rounds that are measured in any case: as many waves as the workload has, within reason."""
    return max(LEAST_ROUNDS, min(workload.requests // workload.concurrency, MOST_ROUNDS))


def _failed(of_all: _Round) -> bool:
    """Whether a request failed, so that the launch is lost."""
    return any(sample.error is not None for result in of_all.results.values() for sample in result.samples)


def _collect(case: Case, results: Sequence[DriveResult]) -> dict[str, tuple[float, ...]]:
    """By gated metric, its value in each round; only metrics that each round has."""
    gated = [
        compute_gated(
            Pass(result.samples, streams=case.workload.concurrency, limits=case.workload.limits), case.workload
        )
        for result in results
    ]
    names = [name for name in case.workload.gated if all(name in values for values in gated)]
    return {name: tuple(values[name] for values in gated) for name in names}


def _join(results: Sequence[DriveResult]) -> DriveResult:
    """The waves of one arm as one pass, on a clock that stands still while the arm is frozen."""
    samples: list[Sample] = []
    wall_s = 0.0
    for result in results:
        samples += [_shift(sample, wall_s, index=len(samples) + at) for at, sample in enumerate(result.samples)]
        wall_s += result.wall_s
    return DriveResult(
        samples=tuple(samples),
        zero_s=results[0].zero_s,
        wall_s=wall_s,
        client_cpu_s=sum(result.client_cpu_s for result in results),
        max_lag_s=max(result.max_lag_s for result in results),
    )


def _shift(sample: Sample, by_s: float, *, index: int) -> Sample:
    return msgspec.structs.replace(
        sample,
        index=index,
        scheduled_s=None if sample.scheduled_s is None else sample.scheduled_s + by_s,
        sent_s=sample.sent_s + by_s,
        first_byte_s=None if sample.first_byte_s is None else sample.first_byte_s + by_s,
        token_times_s=tuple(time_s + by_s for time_s in sample.token_times_s),
        end_s=sample.end_s + by_s,
    )
