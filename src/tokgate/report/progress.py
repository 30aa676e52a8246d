"""What is running now, as one live line of a terminal; the lines of a log are in `suite/heartbeat`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from tokgate._printable import escape_line
from tokgate.config.words import format_quantity
from tokgate.drive.load import Progress


class ProgressBars:
    """An observer of a run that shows a bar for each of its steps."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def during(self, step: object) -> AbstractContextManager[Callable[[str, Progress], None]]:
        """A bar while the step lasts."""
        return show_progress(str(step), self._console)

    def report(self, step: object, measurement: object) -> None:
        """Nothing: the tables at the end have the figures."""

    def end(self, hypothesis: str) -> None:
        """Nothing: the tables at the end have the verdict."""


def is_live(console: Console) -> bool:
    """Whether the console can redraw a line."""
    return console.is_terminal and not console.is_dumb_terminal


@contextmanager
def show_progress(title: str, console: Console) -> Iterator[Callable[[str, Progress], None]]:
    """A bar under `title` while the context lasts; yields the function that moves it."""
    if not is_live(console):
        yield lambda stage, progress: None
        return
    title = escape_line(title)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=None, rate="")

        def move(stage: str, progress: Progress) -> None:
            bar.update(
                task,
                description=f"{title} · {stage}",
                completed=progress.completed,
                total=progress.total,
                rate=format_quantity(progress.arrivals / max(progress.elapsed_s, 1e-9), "tok/s"),
            )

        yield move
