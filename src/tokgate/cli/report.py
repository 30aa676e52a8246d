"""`tokgate report`: a run as a page, as Markdown, or here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tokgate._exceptions import UsageError
from tokgate.cli.options import RUNS, Runs


def report(
    run: Annotated[str | None, typer.Argument(help="A run's id or its start, or its folder.")] = None,
    latest: Annotated[bool, typer.Option("--latest", help="The newest run.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write it as one HTML file that works offline.")] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="Write it as Markdown, for a job summary or an issue.")
    ] = None,
    runs: Runs = RUNS,
) -> None:
    """Show a run: verdicts, claims, trends, latency, the host meanwhile, what was not checked.

    Exit code 0 when it is shown or written, whatever it says; 2 on wrong usage; 3 when the run cannot be
    read or a file not written.
    """
    from tokgate.report.badge import badge
    from tokgate.report.write import write_report
    from tokgate.store.runs import find_run, read_run

    if (run is None) != latest:
        raise UsageError("which run? give its id or --latest, one of the two")
    folder = find_run(runs, run or "latest")
    if html is None and markdown is None:
        from rich.console import Console

        from tokgate.report.boxes import summary_of_all

        console = Console()
        text = summary_of_all(read_run(folder), width=max(console.width, 100), colour=console.is_terminal)
        typer.echo(f"{text}\n")
    said = write_report(folder, runs, html=html, markdown=markdown)
    typer.echo(f"{badge(said.state).symbol} {said.state}: {said.title}")
    for path in filter(None, (html, markdown)):
        typer.echo(f"written: {path}")
