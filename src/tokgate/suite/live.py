"""Live: the one server that is alive. It is started, measured and ended here, whatever it is needed for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import NamedTuple

from tokgate._exceptions import LaunchError
from tokgate.config.server import ServerSpec
from tokgate.launch.server import Server
from tokgate.launch.start import start
from tokgate.measure.measurement import Answers, Measurement
from tokgate.store.runs import RunWriter
from tokgate.suite.case import Watch, measure_case
from tokgate.suite.instruments import Instruments
from tokgate.suite.plan import Case

Around = Callable[[str], AbstractContextManager[Watch]]
"""Entered while something runs, with its title; returns a callable that shows the progress."""


class LaunchKey(NamedTuple):
    """Names one launch of a server, numbered from 1."""

    server: str
    launch: int


class Live:
    """Starts servers, one at a time, and measures cases on the live one; leaving the context ends it.

    writer: the run's record. Each measurement is on disk as soon as it ends; logs go into its folder.
    around: entered while a server starts and while requests run.
    """

    def __init__(self, writer: RunWriter, *, around: Around) -> None:
        self.writer = writer
        self._around = around
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
        with self._around(f"{spec.name} · launch {launch} · starting"):
            try:
                self.server = self._stack.enter_context(start(spec, log_dir=self.writer.folder / "logs"))
            except LaunchError as error:
                self._failed[key] = error
                raise
        self.launch = key
        return self.server

    def measure(self, case: Case, launch: int, *, stored: Answers | None = None, of: str = "") -> Measurement:
        """Measure a case on this launch of its server, which is started if it is not live.

        stored: as for `measure_case`; of: follows the number of the launch in the title (`/5`).
        Raises LaunchError, RecordError.
        """
        server = self.start(case.server, launch)
        with self._around(f"{case.server.name} · launch {launch}{of} · {case.workload.name}") as watch:
            measurement = measure_case(server, case, self._instruments, launch=launch, watch=watch, stored=stored)
        self.writer.add_measurement(measurement)
        return measurement

    def stop(self) -> None:
        """End the live server, if there is one."""
        self.server = self.launch = None
        self._stack.close()
