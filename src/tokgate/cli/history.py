"""`tokgate history`: what was measured of each cell over all runs, and when it changed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tokgate._exceptions import RecordError, UsageError
from tokgate.cli.options import RUNS, Runs

if TYPE_CHECKING:
    from tokgate.store.history import Series

app = typer.Typer(help="What was measured over all runs, and when it changed.")
Server = Annotated[str | None, typer.Option("--server", help="Only this server.")]
Workload = Annotated[str | None, typer.Option("--workload", help="Only this workload.")]
Metric = Annotated[str | None, typer.Option("--metric", help="Only this metric.")]
Box = Annotated[str | None, typer.Option("--fingerprint", help="Only the machine of this fingerprint id.")]
Since = Annotated[
    str | None, typer.Option("--since", metavar="DATE", help="Only runs from this date on (UTC).")
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
    """Each server × workload × metric: its runs, the newest figure against the median, and a sparkline."""
    if context.invoked_subcommand is not None:
        return
    from rich.console import Console

    from tokgate.report.history import table

    Console(markup=False).print(table(_read(runs, server, workload, metric, fingerprint, since)))


@app.command()
def changes(
    server: Server = None,
    workload: Workload = None,
    metric: Metric = None,
    fingerprint: Box = None,
    since: Since = None,
    runs: Runs = RUNS,
) -> None:
    """When each cell became slower or faster, and what else changed there; exit 1 when a slowdown is open.

    Open is what is not older than 30 days and still there. Needs Apache Otava: pip install 'tokgate[nightly]'.
    """
    from tokgate.report.changes import changes_of
    from tokgate.report.history import change_lines

    found = [(one, changes_of(one)) for one in _read(runs, server, workload, metric, fingerprint, since)]
    for series, dated in found:
        for line in change_lines(series, dated):
            typer.echo(line)
    still = sum(change.open for _, dated in found for change in dated)
    total = sum(len(dated) for _, dated in found)
    typer.echo(f"{len(found)} series, {total} changes, {still} open")
    raise typer.Exit(1 if still else 0)


@app.command()
def export(
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write CSV there; - is stdout.")
    ] = None,
    parquet: Annotated[
        Path | None, typer.Option("--parquet", metavar="FILE", help="Write Parquet there.")
    ] = None,
    server: Server = None,
    workload: Workload = None,
    metric: Metric = None,
    fingerprint: Box = None,
    since: Since = None,
    runs: Runs = RUNS,
) -> None:
    """Every point as a row, for other programs. Parquet needs pyarrow: pip install 'tokgate[parquet]'."""
    if (csv is None) == (parquet is None):
        raise UsageError("give one of --csv FILE and --parquet FILE")
    from tokgate.report.history import write_csv, write_parquet

    found = _read(runs, server, workload, metric, fingerprint, since)
    try:
        if parquet is not None:
            write_parquet(parquet, found)
        elif str(csv) == "-":
            write_csv(sys.stdout, found)
        elif csv is not None:
            with csv.open("w", newline="") as file:
                write_csv(file, found)
    except OSError as error:
        raise RecordError(f"cannot be written: {error.strerror}", path=csv or parquet or Path()) from error


def _read(
    runs: Path,
    server: str | None,
    workload: str | None,
    metric: str | None,
    fingerprint: str | None,
    since: str | None,
) -> tuple[Series, ...]:
    """What is asked for; what cannot be read is named on stderr."""
    from tokgate.store.history import list_unreadable, read_history

    found = read_history(
        runs, server=server, workload=workload, metric=metric, fingerprint=fingerprint, since=since
    )
    for problem in list_unreadable(runs):
        typer.echo(f"left out: {problem}", err=True)
    return found
