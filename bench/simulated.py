"""Servers that take simulated time and give simulated values, for runs of the suite that need neither a GPU nor hours.

They work at the rates that the owner of the box reported, else at what the roofline allows; launches and nights scatter, and
each server takes more or less time than a plan assumes.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta

import msgspec

from tokgate import engines
from tokgate._exceptions import NotChecked
from tokgate.config.metric import find_metric
from tokgate.config.server import DockerLaunch, ServerSpec
from tokgate.judge.verdict import Verdict
from tokgate.launch.server import Server, ServerFacts
from tokgate.machine.host import HostReport
from tokgate.measure.measurement import Answers, Measurement
from tokgate.measure.roofline import compute_roofline
from tokgate.store.runs import RunWriter
from tokgate.suite.duration import estimate_pace, estimate_pass_s
from tokgate.suite.live import LaunchKey, Live
from tokgate.suite.observer import Step
from tokgate.suite.passes import Watch
from tokgate.suite.plan import Case

REPORTED_TPS = {("vllm", "FP16"): 6.4, ("llama.cpp", "F16"): 7.3, ("llama.cpp", "Q4_K_M"): 24.0}
"""Decode rates of one stream, as the owner of the box reported them, or inferred (7.3)."""

LAUNCH_CV, NIGHT_CV, ROUND_CV = 0.01, 0.005, 0.01
TIME_ERROR = 0.4  # how far the time of a server is from the plan's estimate, at most
ROUNDS = 6  # of a duet
LOAD_BYTES_PER_S = 1e9


class Clock:
    """Simulated seconds."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Silence:
    """An observer that shows nothing."""

    @contextmanager
    def during(self, step: Step) -> Iterator[Watch]:
        yield lambda stage, progress: None

    def report(self, step: Step, measurement: Measurement) -> None:
        pass

    def end(self, hypothesis: str) -> None:
        pass


class SimulatedLive(Live):
    """Servers that take simulated time and give simulated values.

    started: when the run started. slower: by server, how much slower it is than it should be (fraction).
    """

    def __init__(
        self, writer: RunWriter, clock: Clock, draw: random.Random, *, started: datetime, slower: Mapping[str, float]
    ) -> None:
        super().__init__(writer, observer=Silence())
        self._clock, self._draw, self._started, self._slower = clock, draw, started, slower
        self._simulated: dict[LaunchKey, Server] = {}
        self._night = draw.gauss(0.0, NIGHT_CV)

    @property
    def launch(self) -> LaunchKey | None:
        return next(iter(self._simulated)) if len(self._simulated) == 1 else None

    @property
    def server(self) -> Server | None:
        return None if self.launch is None else self._simulated[self.launch]

    def stop(self) -> None:
        self._simulated = {}

    def start(self, spec: ServerSpec, launch: int) -> Server:
        key = LaunchKey(spec.name, launch)
        if self.launch != key:
            self.stop()
            self._add(spec, key)
        return self._simulated[key]

    def start_together(self, specs: Mapping[str, ServerSpec], launch: int) -> dict[str, Server]:
        keys = {arm: LaunchKey(spec.name, launch) for arm, spec in specs.items()}
        if self._simulated.keys() != set(keys.values()):
            self.stop()
            for arm, spec in specs.items():
                self._add(spec, keys[arm])
        return {arm: self._simulated[key] for arm, key in keys.items()}

    def measure(self, case: Case, launch: int, *, stored: Answers | None = None, of: int = 0) -> Measurement:
        server = self.start(case.server, launch)
        self._clock.now_s += _true_pass_s(case)
        return self._keep(case, server, launch, self._draw.gauss(self._night, LAUNCH_CV))

    def measure_together(self, cases: Mapping[str, Case], launch: int) -> dict[str, Measurement]:
        servers = self.start_together({arm: case.server for arm, case in cases.items()}, launch)
        self._clock.now_s += sum(_true_pass_s(case) for case in cases.values())
        noises = {arm: self._draw.gauss(self._night, LAUNCH_CV) for arm in cases}
        return {arm: self._keep(case, servers[arm], launch, noises[arm], rounds=ROUNDS) for arm, case in cases.items()}

    def check_answers(self, case: Case, launch: int, *, stored: Answers | None) -> Verdict:
        raise NotChecked("a simulated server has no answers")

    def _add(self, spec: ServerSpec, key: LaunchKey) -> None:
        startup_s = _time_error(spec) * (
            engines.find(spec.engine).startup_s + float(spec.model.size or 0) / LOAD_BYTES_PER_S
        )
        self._clock.now_s += startup_s
        self._simulated[key] = Server(spec=spec, facts=_make_facts(spec, startup_s), check_alive=lambda: None)

    def _keep(self, case: Case, server: Server, launch: int, noise: float, *, rounds: int = 0) -> Measurement:
        noise += math.log1p(-self._slower.get(case.server.name, 0.0))
        gated = {metric: compute_value(case, metric, noise) for metric in case.workload.gated}
        each = [noise + self._draw.gauss(0.0, ROUND_CV) for _ in range(rounds)]
        read = case.server.model.bytes_read(context=0)
        measurement = Measurement(
            server=case.server.name,
            workload=case.workload.name,
            launch=launch,
            started=(self._started + timedelta(seconds=self._clock.now_s)).isoformat(timespec="milliseconds"),
            valid=True,
            problems=(),
            metrics=gated,
            gated=gated,
            facts=server.facts,
            warmup_passes=2,
            host=_QUIET,
            client_cpu_s=0.0,
            max_lag_s=0.0,
            samples=(),
            roofline=compute_roofline(
                case.hardware,
                bytes_per_token=read,
                parameters_per_token=case.server.model.parameters_per_token,
                streams=case.workload.concurrency,
            ),
            rounds={metric: tuple(compute_value(case, metric, part) for part in each) for metric in gated}
            if rounds
            else {},
        )
        self.writer.add_measurement(measurement)
        return measurement


_QUIET = HostReport(
    duration_s=60.0,
    cpus=32,
    others_cores=0.0,
    culprit=None,
    steal=0.0,
    pressure={},
    swapped_bytes=0,
    throttled={},
    governor="performance",
    levels={},
    at_s=(),
    timeline={},
    unknown=(),
    monitor_cores=0.0,
)


def _time_error(spec: ServerSpec) -> float:
    """The time that the engine takes with this model, relative to the estimate; the same each night."""
    seed = hashlib.sha256(spec.engine.encode() + str(spec.model.id).encode()).digest()
    return 1.0 + TIME_ERROR * (2 * seed[0] / 255 - 1)


def _true_tps(case: Case) -> float:
    """Decode rate of one stream."""
    model = case.server.model
    return REPORTED_TPS.get((case.server.engine, model.quantisation or ""), 0.0) or (
        estimate_pace(case, None).bytes_per_s / model.bytes_read(0)  # type: ignore[operator]
    )


def _true_pass_s(case: Case) -> float:
    return _time_error(case.server) * estimate_pass_s(case, estimate_pace(case, _true_tps(case)))


def compute_value(case: Case, metric: str, noise: float) -> float:
    rate = _true_tps(case) * math.exp(noise)
    return rate if find_metric(metric).direction == "higher" else 1.0 / rate


def _make_facts(spec: ServerSpec, startup_s: float) -> ServerFacts:
    """What would be seen inside: everything that is declared, except what has no effect."""
    launch = {**msgspec.to_builtins(spec.launch, enc_hook=str), "port": None, "start_timeout": None}
    if isinstance(spec.launch, DockerLaunch) and spec.launch.ipc == "host":
        launch["shm_size"] = None
    declared = {"launch": launch, "model": msgspec.to_builtins(spec.model, enc_hook=str), "env": None}
    return ServerFacts(
        name=spec.name,
        engine=spec.engine,
        base_url="http://127.0.0.1:1",
        model=spec.model.id or spec.name,
        startup_s=startup_s,
        settings={key: json.dumps(value, sort_keys=True) for key, value in declared.items()},
    )
