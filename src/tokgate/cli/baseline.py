"""`tokgate baseline`: make a run the baseline that later runs are compared with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tokgate.cli.options import BASELINES, RUNS, Baselines, Runs

if TYPE_CHECKING:
    from tokgate.store.baselines import Baseline

app = typer.Typer(help="Stored baselines: accept a run as one.", no_args_is_help=True)


@app.command()
def accept(
    run: Annotated[str, typer.Argument(help="A run's id or its start, its folder, or `latest`.")],
    server: Annotated[
        list[str] | None, typer.Option("--server", help="Only this server; may be given again.")
    ] = None,
    force: Annotated[
        bool, typer.Option(help="Accept a run that is invalid or regressed; needs --reason.")
    ] = False,
    reason: Annotated[str | None, typer.Option(help="Why; kept in the baseline.")] = None,
    runs: Runs = RUNS,
    baselines: Baselines = BASELINES,
) -> None:
    """Write each server's baseline from a run, after showing what changes.

    Refuses a run that is invalid, regressed or was cut off. Review the change with `git diff` and commit it.
    """
    from tokgate._exceptions import BaselineRefused, UsageError
    from tokgate.report.baseline import difference
    from tokgate.store.baselines import make_baseline, read_baseline, write_baseline
    from tokgate.store.runs import is_cell, read_runs

    if force and not reason:
        raise UsageError("--force needs --reason TEXT: it is kept in the baseline for whoever asks later")
    accepted: dict[Path, Baseline] = {}
    for record in read_runs(runs, run):
        names = server or list(
            dict.fromkeys(one.server for one in record.measurements if is_cell(one.server))
        )
        if not names:
            what = (
                "no server of its own, only arms of experiments or images"
                if record.measurements
                else "nothing"
            )
            raise BaselineRefused(f"run {record.run_id} measured {what}")
        for name in names:
            path = baselines / record.baselines / f"{name}.yaml"
            new = make_baseline(record, name, force=force, reason=reason)
            if path in accepted:
                raise BaselineRefused(
                    f"{path} would be the baseline of two boxes: {accepted[path].source} and {new.source}. "
                    f"Name one: tokgate baseline accept {record.run_id}"
                )
            accepted[path] = new
    for path, new in accepted.items():
        typer.echo(difference(read_baseline(path), new))
        write_baseline(path, new)
        typer.echo(f"written: {path}")
