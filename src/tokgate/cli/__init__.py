"""The `tokgate` command. Each file of this folder is one command or one group; the layers below do the work.

Exit codes: 0 success; 1 completed with a negative result (an invalid measurement, an invalid spec, a machine that
cannot run the profile); 2 wrong usage; 3 failed. `tokgate bisect` has more.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from tokgate import __version__
from tokgate._exceptions import TokgateError, UsageError
from tokgate._secrets import remember_variables
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
    plan,
    report,
    roofline,
    server,
    spec,
)
from tokgate.cli.output import echo

app = typer.Typer(
    help="Keep LLM servers fast: measure them, compare them with stored baselines, test claims about them. "
    "`pytest -m perf` runs the suite itself.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # rich's own markup would remove [parquet] from a help text
)
app.command("measure")(measure.measure)
app.command("doctor")(doctor.doctor)
app.command("plan")(plan.plan)
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
        echo(f"tokgate {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command; an error that the user can act on is printed as one message, without a traceback."""
    remember_variables(os.environ)
    try:
        app()
    except TokgateError as error:
        echo(f"tokgate: {error}", err=True)
        sys.exit(2 if isinstance(error, UsageError) else 3)
