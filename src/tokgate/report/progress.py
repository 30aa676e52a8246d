"""What is running now, as one live line; nothing if the output is not a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from tokgate.config.words import format_quantity
from tokgate.drive.load import Progress


@contextmanager
def show_progress(title: str, console: Console) -> Iterator[Callable[[str, Progress], None]]:
    """A bar under `title` while the context lasts; yields the function that moves it."""
    if not console.is_terminal:
        yield lambda stage, progress: None
        return
    columns = (
        TextColumn("{task.description}"),
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
