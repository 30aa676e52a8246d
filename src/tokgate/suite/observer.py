"""Observer: sees what a run does now. `Live` reports to it, whatever a server is needed for."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

import msgspec

from tokgate.measure.measurement import Measurement
from tokgate.suite.passes import Watch


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What takes time: the start of a server, or a workload on it.

    server: its name; that of an arm is HYPOTHESIS/ARM.
    workload: empty while the server starts.
    launch: from 1; of: number of launches planned, 0 if that is not known.
    """

    server: str
    launch: int
    workload: str = ""
    of: int = 0

    def __str__(self) -> str:
        """`embedded-smollm2 × chat-c1, launch 1/5` or `embedded-smollm2, launch 1: starting`."""
        what = f"{self.server} × {self.workload}" if self.workload else self.server
        launch = f"launch {self.launch}/{self.of}" if self.of else f"launch {self.launch}"
        return f"{what}, {launch}" if self.workload else f"{what}, {launch}: starting"


class Observer(Protocol):
    """Shows a run to a person, as a progress bar or as lines of a log."""

    def during(self, step: Step) -> AbstractContextManager[Watch]:
        """Entered while a step lasts; gives what is called with its progress."""

    def report(self, step: Step, measurement: Measurement) -> None:
        """A step gave a measurement, which is on disk."""

    def end(self, hypothesis: str) -> None:
        """A hypothesis has its verdict, or there was no time for it."""
