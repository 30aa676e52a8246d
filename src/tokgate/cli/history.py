"""`tokgate history`: the values of each cell over all runs, and when they changed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tokgate._exceptions import RecordError, UsageError
from tokgate.cli.options import RUNS, Runs
from tokgate.cli.output import echo, echo_rendered

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tokgate.store.history import Series

app = typer.Typer(help="Show the values of each cell over all runs, and when they changed.")
Server = Annotated[str | None, typer.Option("--server", help="Show only this server.")]
Workload = Annotated[str | None, typer.Option("--workload", help="Show only this workload.")]
Metric = Annotated[str | None, typer.Option("--metric", help="Show only this metric.")]
Box = Annotated[str | None, typer.Option("--fingerprint", help="Show only the machine with this fingerprint ID.")]
Since = Annotated[
    str | None,
    typer.Option("--since", metavar="DATE", help="Show only runs since this date or time (ISO 8601, UTC)."),
]


@app.callback(invoke_without_command=True)
def history(
    context: typer.Context,
    server: Server = None,
    workload: Workload = None,
    metric: Metric = None,
    fingerprint: Box = None,
    since: Since = None,
    runs: Runs = RUNS,
) -> None:
    """Show each server × workload × metric: number of runs, newest value, median, and a sparkline."""
    if context.invoked_subcommand is not None:
        return
    from rich.console import Console

    from tokgate.report.history import format_history

    console, series = Console(), _read(runs, server, workload, metric, fingerprint, since)
    echo_rendered(format_history(series, width=console.width, color=console.is_terminal))


@app.command()
def changes(
    server: Server = None,
    workload: Workload = None,
    metric: Metric = None,
    fingerprint: Box = None,
    since: Since = None,
    runs: Runs = RUNS,
) -> None:
    """Show when each cell became slower or faster, and what else changed then; exit 1 if a slowdown is open.

    A slowdown is open if it began in the last 30 days and still persists. Requires Apache Otava:
    pip install 'tokgate[nightly]'.
    """
    from tokgate.config.words import format_count
    from tokgate.report.changes import date_changes
    from tokgate.report.history import describe_changes

    rows = [(series, date_changes(series)) for series in _read(runs, server, workload, metric, fingerprint, since)]
    for series, dated in rows:
        for line in describe_changes(series, dated):
            echo(line)
    still_open = sum(change.open for _, dated in rows for change in dated)
    total = sum(len(dated) for _, dated in rows)
    echo(f"{len(rows)} series, {format_count(total, 'change')}, {still_open} open")
    raise typer.Exit(1 if still_open else 0)


@app.command()
def export(
    csv: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write a CSV file; - for stdout.")] = None,
    parquet: Annotated[Path | None, typer.Option("--parquet", metavar="FILE", help="Write a Parquet file.")] = None,
    server: Server = None,
    workload: Workload = None,
    metric: Metric = None,
    fingerprint: Box = None,
    since: Since = None,
    runs: Runs = RUNS,
) -> None:
    """Write every value as a row, for other programs. Parquet requires: pip install 'tokgate[parquet]'."""
    if (csv is None) == (parquet is None):
        raise UsageError("pass either --csv FILE or --parquet FILE")
    from tokgate.report.history import write_csv, write_parquet

    history = _read(runs, server, workload, metric, fingerprint, since)
    try:
        if parquet is not None:
            write_parquet(parquet, history)
        elif str(csv) == "-":
            _print_csv(history)
        elif csv is not None:
            with csv.open("w", newline="") as file:
                write_csv(file, history)
    except OSError as error:
        raise RecordError(f"cannot be written: {error.strerror}", path=csv or parquet or Path()) from error


def _print_csv(history: Sequence[Series]) -> None:
    """Write to stdout, for another program as it is."""
    from io import StringIO

    from tokgate.report.history import write_csv

    if not sys.stdout.isatty():
        write_csv(sys.stdout, history)
        return
    write_csv(text := StringIO(), history)
    echo(text.getvalue(), nl=False)


def _read(
    runs: Path,
    server: str | None,
    workload: str | None,
    metric: str | None,
    fingerprint: str | None,
    since: str | None,
) -> tuple[Series, ...]:
    """Read the matching series; print a line to stderr for each record that cannot be read.

    Raises UsageError: a filter has a value that does not occur in the history.
    """
    from tokgate.store.history import list_unreadable, read_history

    filters = {"server": server, "workload": workload, "metric": metric, "fingerprint": fingerprint}
    history = read_history(runs, **filters, since=None if since is None else _parse_date(since))
    for problem in list_unreadable(runs):
        echo(f"skipped: {problem}", err=True)
    if not history:
        _check_filters(read_history(runs), filters)
    return history


def _parse_date(text: str) -> str:
    """A date or time as records state times: in UTC, to the millisecond. Raises UsageError."""
    from datetime import UTC, datetime

    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--since: expected a date such as 2026-11-20, got {text!r}") from None
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC).isoformat(timespec="milliseconds")


def _check_filters(history: Sequence[Series], filters: Mapping[str, str | None]) -> None:
    from tokgate.config.explain import nearest

    for name, value in filters.items():
        names = {getattr(series, name) for series in history}
        if names and value is not None and value not in names:
            raise UsageError(f"--{name} {value}: not in the history; {nearest(value, names)}")
    echo("no values match these filters" if history else "the history is empty", err=True)
