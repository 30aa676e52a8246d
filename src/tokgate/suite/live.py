"""Live: the one server that is alive. It is started, measured and ended here, whatever it is needed for."""

from __future__ import annotations

from contextlib import ExitStack
from typing import NamedTuple

from tokgate._exceptions import LaunchError
from tokgate.config.server import ServerSpec
from tokgate.launch.server import Server
from tokgate.launch.start import start
from tokgate.measure.measurement import Answers, Measurement
from tokgate.store.runs import RunWriter
from tokgate.suite.case import measure_case
from tokgate.suite.instruments import Instruments
from tokgate.suite.observer import Observer, Step
from tokgate.suite.plan import Case


class LaunchKey(NamedTuple):
    """Names one launch of a server, numbered from 1."""

    server: str
    launch: int


class Live:
    """Starts servers, one at a time, and measures cases on the live one; leaving the context ends it.

    writer: the run's record. Each measurement is on disk as soon as it ends; logs go into its folder.
    observer: sees what is started and measured.
    """

    def __init__(self, writer: RunWriter, *, observer: Observer) -> None:
        self.writer = writer
        self.observer = observer
        self._instruments = Instruments()
        self._stack = ExitStack()
        self._failed: dict[LaunchKey, LaunchError] = {}
        self.launch: LaunchKey | None = None
        self.server: Server | None = None

    def __enter__(self) -> Live:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, spec: ServerSpec, launch: int) -> Server:
        """Start this launch of a server, unless it is the live one; any other live server ends first.

        Raises LaunchError: the same error each time for the same launch.
        """
        key = LaunchKey(spec.name, launch)
        if self.server is not None and self.launch == key:
            return self.server
        if key in self._failed:
            raise self._failed[key]
        self.stop()
        self._instruments.speed(spec)  # before the first launch nothing else runs
        with self.observer.during(Step(server=spec.name, launch=launch)):
            try:
                self.server = self._stack.enter_context(start(spec, log_dir=self.writer.folder / "logs"))
            except LaunchError as error:
                self._failed[key] = error
                raise
        self.launch = key
        return self.server

    def measure(self, case: Case, launch: int, *, stored: Answers | None = None, of: int = 0) -> Measurement:
        """Measure a case on this launch of its server, which is started if it is not live.

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

    def stop(self) -> None:
        """End the live server, if there is one."""
        self.server = self.launch = None
        self._stack.close()
