"""The `tokgate` command. Each group is a file of this folder; what they do is on the floors below.

Exit codes: 0 done and good, 1 done and not good (an invalid measurement, a wrong spec, a machine that
cannot run the profile), 2 wrong usage, 3 it could not be done. `tokgate bisect` has more.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from tokgate import __version__
from tokgate._exceptions import TokgateError, UsageError
from tokgate.cli import (
    baseline,
    bisect,
    cleanup,
    compare,
    doctor,
    history,
    hypothesis,
    imports,
    measure,
    models,
    report,
    roofline,
    server,
    spec,
)

app = typer.Typer(
    help="Keep LLM servers fast: measure them, compare with stored baselines, test claims about them. "
    "The suite itself is `pytest -m perf`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # rich's own markup would remove [parquet] from a help text
)
app.command("measure")(measure.measure)
app.command("doctor")(doctor.doctor)
app.command("roofline")(roofline.roofline)
app.command("cleanup")(cleanup.cleanup)
app.command("report")(report.report)
app.command("compare")(compare.compare)
app.command("bisect")(bisect.bisect)
app.add_typer(spec.app, name="spec")
app.add_typer(server.app, name="server")
app.add_typer(models.app, name="models")
app.add_typer(baseline.app, name="baseline")
app.add_typer(hypothesis.app, name="hypothesis")
app.add_typer(history.app, name="history")
app.command("import")(imports.import_results)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        typer.echo(f"tokgate {__version__}")
        raise typer.Exit


def main() -> None:
    """Entry point: errors a person can act on are one message, not a traceback."""
    try:
        app()
    except TokgateError as error:
        typer.echo(f"tokgate: {error}", err=True)
        sys.exit(2 if isinstance(error, UsageError) else 3)
