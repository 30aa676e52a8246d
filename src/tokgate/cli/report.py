"""`tokgate report`: show a run in the terminal, or write it as HTML or Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tokgate._exceptions import UsageError
from tokgate.cli.options import RUNS, Runs
from tokgate.cli.output import echo, echo_rendered


def report(
    run: Annotated[
        str | None, typer.Argument(help="A run: its ID, the start of its ID, its folder, or `latest`.")
    ] = None,
    latest: Annotated[bool, typer.Option("--latest", help="Show the newest run.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write one HTML file that works offline.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write Markdown, for a job summary or an issue.")] = None,
    runs: Runs = RUNS,
) -> None:
    """Show a run: verdicts, claims, trends, latency, host activity, what was not checked.

    The exit code does not depend on the verdicts: 0 if the report is shown or written; 2 on wrong usage; 3 if the
    run cannot be read or a file cannot be written.
    """
    from tokgate.report.badge import make_badge
    from tokgate.report.write import is_running, write_report
    from tokgate.store.runs import find_run, read_run

    if (run is None) != latest:
        raise UsageError("pass either a run ID or --latest")
    folder = find_run(runs, run or "latest")
    record = read_run(folder)
    if html is None and markdown is None:
        from rich.console import Console

        from tokgate.report.boxes import format_summaries

        console = Console()
        text = format_summaries(record, width=max(console.width, 100), color=console.is_terminal)
        echo_rendered(f"{text}\n")
    headline = write_report(folder, runs, html=html, markdown=markdown, running=is_running(record))
    echo(f"{make_badge(headline.state).symbol} {headline.state}: {headline.title}")
    for path in filter(None, (html, markdown)):
        echo(f"written: {path}")
