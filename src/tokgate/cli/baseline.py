"""`tokgate baseline`: make a run the baseline that later runs are compared with."""

from __future__ import annotations

from typing import Annotated

import typer

from tokgate.cli.options import BASELINES, RUNS, Baselines, Runs
from tokgate.cli.output import echo

app = typer.Typer(help="Stored baselines: accept a run as one.", no_args_is_help=True)


@app.command()
def accept(
    run: Annotated[str, typer.Argument(help="A run ID or its beginning, its folder, or `latest`.")],
    server: Annotated[list[str] | None, typer.Option("--server", help="Only this server; may be given again.")] = None,
    force: Annotated[
        bool, typer.Option(help="Accept the run without being asked, whatever speaks against it; needs --reason.")
    ] = False,
    reason: Annotated[str | None, typer.Option(help="The reason, which is kept in the baseline.")] = None,
    runs: Runs = RUNS,
    baselines: Baselines = BASELINES,
) -> None:
    """Write each server's baseline from a run, after showing what changes.

    Asks for a reason first, and keeps it in the baseline, if a person should decide: the run is
    invalid or inconclusive in parts, regressed, was cut off, has only one launch, or looks worse
    than the baseline it replaces by more than the tolerance. Without a terminal such a run is
    refused, unless --force --reason TEXT is given. Review the change with `git diff` and commit it.

    Exit code 0 when written; 2 on wrong usage; 3 when nothing was written: the run is refused,
    no reason was given, or there is no such run.
    """
    import sys

    from tokgate._exceptions import UsageError
    from tokgate.report.baseline import describe_acceptance
    from tokgate.store.baselines import make_candidates, write_baseline
    from tokgate.store.runs import read_runs

    if force and not reason:
        raise UsageError("--force requires --reason TEXT, which is kept in the baseline")
    candidates = make_candidates(read_runs(runs, run), baselines, servers=server or ())
    for candidate in candidates.values():
        echo(describe_acceptance(candidate))
    reason = reason if force else None
    if not force and any(candidate.objections for candidate in candidates.values()) and sys.stdin.isatty():
        reason = typer.prompt("Why should it be accepted all the same? (Enter: do not)", default="", show_default=False)
    accepted = {path: candidate.accept(reason) for path, candidate in candidates.items()}
    for path, baseline in accepted.items():
        write_baseline(path, baseline)
        echo(f"written: {path}")
