"""`tokgate spec`: what is declared, and whether it is right."""

from __future__ import annotations

import typer

from tokgate._exceptions import SpecError
from tokgate.cli.options import FIXTURES, Fixtures, catalogue

app = typer.Typer(
    help="Declared servers, workloads, prompts, profiles: check and list them.", no_args_is_help=True
)


@app.command()
def check(fixtures: Fixtures = FIXTURES) -> None:
    """Validate every file; exit 1 when one is wrong. Each error names file, line, key and the nearest name."""
    wrong = read = 0
    for _, _, result in catalogue(fixtures).check():
        read += 1
        if isinstance(result, SpecError):
            wrong += 1
            typer.echo(str(result), err=True)
    typer.echo(f"{read} files, {wrong} wrong")
    raise typer.Exit(1 if wrong or not read else 0)


@app.command("list")
def list_(fixtures: Fixtures = FIXTURES) -> None:
    """Show what is declared as a table."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("kind", "name", "description", box=None)
    for kind, name, read in catalogue(fixtures).check():
        table.add_row(kind, name, Text(str(read), "red" if isinstance(read, SpecError) else ""))
    Console(markup=False).print(table)
