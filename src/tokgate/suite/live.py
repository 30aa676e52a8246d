"""Live: the servers that are alive. They are started, measured and ended here, whatever they are needed for."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import NamedTuple

import msgspec

from tokgate._exceptions import (
    DeviceMissing,
    DockerUnavailable,
    EngineMissing,
    ImageMissing,
    LaunchError,
    ModelMissing,
    NotChecked,
    OptionRejected,
)
from tokgate.config.server import ServerSpec
from tokgate.judge.answers import judge_answers
from tokgate.judge.verdict import Verdict
from tokgate.launch.idle import hold_idle
from tokgate.launch.server import Server
from tokgate.launch.start import start
from tokgate.measure.measurement import Answers, Measurement
from tokgate.store.runs import RunWriter
from tokgate.suite.case import measure_case
from tokgate.suite.duet import measure_duet
from tokgate.suite.instruments import Instruments
from tokgate.suite.observer import Observer, Step
from tokgate.suite.passes import check_canary
from tokgate.suite.plan import CANARY, Case
from tokgate.suite.room import make_room

MISSING = (DeviceMissing, DockerUnavailable, EngineMissing, ImageMissing, ModelMissing)
"""Why a server did not start that say nothing about it: this machine lacks something."""

_CERTAIN = (*MISSING, OptionRejected)
"""Why a server did not start that another try in the same run would not change."""


class LaunchKey(NamedTuple):
    """Names one launch of a server, numbered from 1."""

    server: str
    launch: int


class Live:
    """Starts servers and measures cases on them; leaving the context ends them.

    writer: the run's record. Each measurement is on disk as soon as it ends; logs go into its folder.
    observer: sees what is started and measured.
    """

    def __init__(self, writer: RunWriter, *, observer: Observer) -> None:
        self.writer = writer
        self.observer = observer
        self._instruments = Instruments()
        self._stack = ExitStack()
        self._alive: dict[LaunchKey, Server] = {}
        self._failed: dict[LaunchKey, LaunchError] = {}
        self._hopeless: dict[str, LaunchError] = {}

    def __enter__(self) -> Live:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def launch(self) -> LaunchKey | None:
        """The launch of the server that is alive alone, if one is."""
        return next(iter(self._alive)) if len(self._alive) == 1 else None

    @property
    def server(self) -> Server | None:
        """The server that is alive alone, if one is."""
        return None if self.launch is None else self._alive[self.launch]

    def start(self, spec: ServerSpec, launch: int) -> Server:
        """Start this launch of a server, unless it is alive alone; all other servers end first.

        Raises LaunchError: the same error each time for the same launch, and for every launch of a server that certainly
        would not start.
        """
        key = LaunchKey(spec.name, launch)
        if self.launch == key:
            return self._alive[key]
        if key in self._failed:
            raise self._failed[key]
        self.stop()
        return self._start(spec, key)

    def start_together(self, specs: Mapping[str, ServerSpec], launch: int) -> dict[str, Server]:
        """Start this launch of several servers, by arm, next to each other, unless exactly they are alive.

        While one starts, those before it are held idle. All other servers end first.
        Raises NoRoom: they do not fit next to each other; LaunchError, as `start`. Then none is alive.
        """
        keys = {arm: LaunchKey(spec.name, launch) for arm, spec in specs.items()}
        if self._alive.keys() == set(keys.values()):
            return {arm: self._alive[key] for arm, key in keys.items()}
        self.stop()
        try:
            for arm, spec in specs.items():
                beside = tuple(self._alive.values())
                with ExitStack() as idle:
                    for server in beside:
                        idle.enter_context(hold_idle(server))
                    self._start(make_room(spec, beside), keys[arm])
        except BaseException:
            self.stop()
            raise
        return {arm: self._alive[key] for arm, key in keys.items()}

    def measure(self, case: Case, launch: int, *, stored: Answers | None = None, of: int = 0) -> Measurement:
        """Measure a case on this launch of its server, which is started if it is not alive alone.

        stored: as for `measure_case`; of: the number of launches planned, 0 if that is not known.
        Raises LaunchError, RecordError.
        """
        server = self.start(case.server, launch)
        step = Step(server=case.server.name, workload=case.workload.name, launch=launch, of=of)
        with self.observer.during(step) as watch:
            measurement = measure_case(server, case, self._instruments, launch=launch, watch=watch, stored=stored)
        self.writer.add_measurement(measurement)
        self.observer.report(step, measurement)
        return measurement

    def check_answers(self, case: Case, launch: int, *, stored: Answers | None) -> Verdict:
        """Judge what the model answers on this launch of its server, which is started if it is not alive alone.

        stored: as for `measure_case`. Raises LaunchError; NotChecked: there are no canary questions.
        """
        server = self.start(case.server, launch)
        with self.observer.during(Step(server=case.server.name, workload=CANARY, launch=launch)):
            canary, problems = check_canary(server, case, self._instruments, stored)
        if canary is None:
            raise NotChecked(f"the answers of {case.server.name}: there is no prompt set {CANARY}")
        return judge_answers(case.server.name, canary, problems)

    def measure_together(self, cases: Mapping[str, Case], launch: int) -> dict[str, Measurement]:
        """Measure one workload on this launch of several servers, by arm, in turns (`measure_duet`).

        They are started if they are not alive. Raises NoRoom, LaunchError, RecordError.
        """
        servers = self.start_together({arm: case.server for arm, case in cases.items()}, launch)
        in_order = {arm: servers[arm] for arm in cases}
        steps = {
            arm: Step(server=case.server.name, workload=case.workload.name, launch=launch)
            for arm, case in cases.items()
        }
        names = " | ".join(case.server.name for case in cases.values())
        together = msgspec.structs.replace(next(iter(steps.values())), server=names)
        with self.observer.during(together) as watch:
            measurements = measure_duet(in_order, cases, self._instruments, launch=launch, watch=watch)
        for arm, measurement in measurements.items():
            self.writer.add_measurement(measurement)
            self.observer.report(steps[arm], measurement)
        return measurements

    def stop(self) -> None:
        """End all servers."""
        self._alive = {}
        self._stack.close()

    def _start(self, spec: ServerSpec, key: LaunchKey) -> Server:
        if spec.name in self._hopeless:
            raise self._hopeless[spec.name]
        self._instruments.speed(spec)  # before the first launch nothing else runs
        with self.observer.during(Step(server=spec.name, launch=key.launch)):
            try:
                server = self._stack.enter_context(start(spec, log_dir=self.writer.folder / "logs"))
            except LaunchError as error:
                if isinstance(error, _CERTAIN):
                    self._hopeless[spec.name] = error
                if not self._alive:  # next to another server it may fail for want of room
                    self._failed[key] = error
                raise
        self._alive[key] = server
        return server
