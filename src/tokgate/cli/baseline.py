"""`tokgate baseline`: make a run the baseline that later runs are compared with."""

from __future__ import annotations

from typing import Annotated

import typer

from tokgate.cli.options import BASELINES, RUNS, Baselines, Runs

app = typer.Typer(help="Stored baselines: accept a run as one.", no_args_is_help=True)


@app.command()
def accept(
    run: Annotated[str, typer.Argument(help="A run ID or its beginning, its folder, or `latest`.")],
    server: Annotated[list[str] | None, typer.Option("--server", help="Only this server; may be given again.")] = None,
    force: Annotated[bool, typer.Option(help="Accept a run that is invalid or regressed; needs --reason.")] = False,
    reason: Annotated[str | None, typer.Option(help="The reason, which is kept in the baseline.")] = None,
    runs: Runs = RUNS,
    baselines: Baselines = BASELINES,
) -> None:
    """Write each server's baseline from a run, after showing what changes.

    Rejects a run that is invalid, regressed or was cut off. Review the change with `git diff` and commit it.
    """
    from tokgate._exceptions import UsageError
    from tokgate.report.baseline import describe_acceptance
    from tokgate.store.baselines import make_baselines, read_baseline, write_baseline
    from tokgate.store.runs import read_runs

    if force and not reason:
        raise UsageError("--force requires --reason TEXT, which is kept in the baseline")
    accepted = make_baselines(read_runs(runs, run), baselines, servers=server or (), force=force, reason=reason)
    for path, new in accepted.items():
        typer.echo(describe_acceptance(read_baseline(path), new))
        write_baseline(path, new)
        typer.echo(f"written: {path}")
