"""Heartbeat: a run as lines of a log: one for each measured cell, and one from time to time in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from time import monotonic

from tokgate._exceptions import LaunchError
from tokgate.config.words import format_duration, format_figures, format_quantity
from tokgate.drive.load import Progress
from tokgate.measure.measurement import Measurement
from tokgate.suite.observer import Step
from tokgate.suite.passes import Watch
from tokgate.suite.time_left import TimeLeft, is_counted

SILENCE_S = 25.0
"""Seconds after which a line says what is going on: who watches a log suspects a hang after half a minute."""


class Heartbeat:
    """An `Observer`. say: prints a line at once. time_left: None where no plan is known."""

    def __init__(
        self, say: Callable[[str], None], time_left: TimeLeft | None = None, *, silence_s: float = SILENCE_S
    ) -> None:
        self._print, self._time_left, self._silence_s = say, time_left, silence_s
        self._said_s = monotonic()
        self._took_s = 0.0

    @contextmanager
    def during(self, step: Step) -> Iterator[Watch]:
        """Print a line whenever the step has been silent for long."""
        began_s, latest, ended = monotonic(), [""], Event()

        def watch(stage: str, progress: Progress) -> None:
            rate = format_quantity(progress.arrivals / max(progress.elapsed_s, 1e-9), "tok/s")
            latest[0] = f": {stage}, {progress.completed} of {progress.total} requests, {rate}"

        def tick() -> None:
            while not ended.wait(max(self._said_s + self._silence_s - monotonic(), 0.0)):
                elapsed_s = monotonic() - began_s
                self._say(f"{step}{latest[0]} · {format_duration(elapsed_s)} so far{self._describe_rest(elapsed_s)}")

        # The step itself is busy: a start waits for the server, a pass sends requests.
        thread = Thread(target=tick, name="tokgate-heartbeat", daemon=True)
        thread.start()
        try:
            yield watch
        except LaunchError as error:
            self._say(f"{step}: failed: {str(error).splitlines()[0]}")
            raise
        finally:
            ended.set()
            thread.join()
        self._took_s = monotonic() - began_s
        if self._time_left is not None:
            self._time_left.add(step, self._took_s)

    def report(self, step: Step, measurement: Measurement) -> None:
        """Print the figures of a step, how long it took, and the time left."""
        figures = format_figures(measurement.gated) or "no figures"
        if measurement.problems:
            figures += f"; INVALID: {measurement.problems[0].rule}: {measurement.problems[0].detail}"
        number = ""
        if self._time_left is not None and is_counted(step):
            number = f"{self._time_left.done}/{self._time_left.total} "
        self._say(f"{number}{step}: {figures} · {format_duration(self._took_s)}{self._describe_rest(0.0)}")

    def end(self, hypothesis: str) -> None:
        """The time that it was expected to take is free."""
        if self._time_left is not None:
            self._time_left.end(hypothesis)

    def _describe_rest(self, elapsed_s: float) -> str:
        """` · about 3m10s left`, or nothing where that is not known. elapsed_s: of the step that is going on."""
        rest_s = 0 if self._time_left is None else round(self._time_left.estimate_s() - elapsed_s)
        return f" · about {format_duration(rest_s)} left" if rest_s > 0 else ""

    def _say(self, line: str) -> None:
        self._print(line)
        self._said_s = monotonic()
