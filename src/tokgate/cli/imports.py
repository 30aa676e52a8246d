"""`tokgate import`: add results of other tools to the history."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tokgate._exceptions import UsageError
from tokgate.cli.options import RUNS, Runs
from tokgate.cli.output import echo
from tokgate.config.words import format_count
from tokgate.store.importers import find_importer, format_names


def import_results(
    form: Annotated[str, typer.Argument(metavar="FORMAT", help=f"{', '.join(format_names())}.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Output of the tool.")],
    at: Annotated[
        str | None,
        typer.Option(help="llama-bench: when it ran (ISO 8601); required for its md, which does not state it."),
    ] = None,
    maps: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="KEY=COLUMN",
            help="csv: what a column means; repeatable. started, server, workload, metric, value: once each; "
            "condition, machine, suspect: any number of times. COLUMN+COLUMN joins two columns, KEY==TEXT uses "
            "the same text for all rows.",
        ),
    ] = None,
    runs: Runs = RUNS,
) -> None:
    """Add results of another tool to the history.

    They are marked as imported, and never become a baseline. Importing a file again changes nothing.
    """
    from tokgate.store.imports import write_import

    importer = find_importer(form)
    options: dict[str, object] = {}
    for flag, name, value in (("--at", "at", at), ("--map", "maps", maps)):
        if value and name not in importer.options:
            fitting = [known for known in format_names() if name in find_importer(known).options]
            raise UsageError(f"{flag} does not apply to {form}; only to {' and '.join(fitting)}")
        if value:
            options[name] = value
    rows = importer.read(file, **options)
    source = f"{form} {file.name}"
    record, is_new = write_import(runs, rows, source=source)
    cells = len({(row.server, row.workload, row.metric) for row in rows})
    text = f"{format_count(len(rows), 'value')} of {format_count(cells, 'cell')} from {source}"
    folder = runs / record.run_id
    echo(f"{text} → {folder}" if is_new else f"{text}: already imported, in {folder}")
