"""Output to the terminal that pytest does not capture: single lines, and the progress of the run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from tokgate._printable import escape_text

if TYPE_CHECKING:
    from tokgate.measure.measurement import Measurement
    from tokgate.suite.observer import Observer, Step
    from tokgate.suite.passes import Watch
    from tokgate.suite.time_left import TimeLeft

_SPOKE: pytest.StashKey[bool] = pytest.StashKey()
_LEAST_WIDTH = 100  # columns of a table, also on a narrower terminal: below, it would hide columns


def say(config: pytest.Config, text: str) -> None:
    """Print one line at once, uncaptured, with the name of the box if there are several."""
    text = escape_text(text)
    config.stash[_SPOKE] = True
    reporter = _find_reporter(config)
    with _uncaptured(config):
        if reporter is None:  # -p no:terminal, or a worker, which shares the terminal with others
            worker = getattr(config, "workerinput", None)
            name = f"[{worker['workerid']}] " if worker else ""
            print(f"tokgate: {name}{text}", file=sys.stderr, flush=True)
            return
        # pytest may be in the middle of a line of dots.
        start = "\n" if reporter._tw.width_of_current_line else ""
        reporter.write(f"{start}tokgate: {text}\n", flush=True)


def has_spoken(config: pytest.Config) -> bool:
    """Whether `say` printed something since this was asked last."""
    spoke = config.stash.get(_SPOKE, False)
    config.stash[_SPOKE] = False
    return spoke


def find_style(config: pytest.Config) -> tuple[int, bool]:
    """The width of tables in columns, and whether they have colors."""
    reporter = _find_reporter(config)
    if reporter is None:
        return _LEAST_WIDTH, False
    return max(reporter._tw.fullwidth, _LEAST_WIDTH), reporter.hasmarkup


def make_observer(config: pytest.Config, time_left: TimeLeft) -> Observer:
    """Shows the run: as bars on a terminal of its own, otherwise (a pipe, a file, several boxes) as lines."""
    from rich.console import Console

    from tokgate.report.progress import ProgressBars, is_live
    from tokgate.suite.heartbeat import Heartbeat

    reporter = _find_reporter(config)
    with _uncaptured(config):
        console = Console(stderr=True)  # it looks at the terminal when it is made
        bars = reporter is not None and reporter.isatty and is_live(console)
    return _Uncaptured(config, ProgressBars(console) if bars else Heartbeat(lambda text: say(config, text), time_left))


class _Uncaptured:
    """An observer whose output pytest does not capture."""

    def __init__(self, config: pytest.Config, observer: Observer) -> None:
        self._config, self._observer = config, observer

    @contextmanager
    def during(self, step: Step) -> Iterator[Watch]:
        with _uncaptured(self._config), self._observer.during(step) as watch:
            yield watch

    def report(self, step: Step, measurement: Measurement) -> None:
        self._observer.report(step, measurement)

    def end(self, hypothesis: str) -> None:
        self._observer.end(hypothesis)


def _find_reporter(config: pytest.Config) -> Any:
    """The terminal of this session; None in a worker, and with -p no:terminal."""
    return None if hasattr(config, "workerinput") else config.pluginmanager.getplugin("terminalreporter")


def _uncaptured(config: pytest.Config) -> AbstractContextManager[None]:
    manager: Any = config.pluginmanager.getplugin("capturemanager")
    if manager is None:  # -p no:capture
        return nullcontext()
    disabled: AbstractContextManager[None] = manager.global_and_fixture_disabled()
    return disabled
