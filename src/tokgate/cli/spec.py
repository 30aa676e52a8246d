"""`tokgate spec`: check and list the YAML and JSONL files in fixtures/."""

from __future__ import annotations

import typer

from tokgate._exceptions import SpecError
from tokgate.cli.options import FIXTURES, Fixtures, catalogue
from tokgate.cli.output import echo

app = typer.Typer(help="Check and list servers, workloads, prompts, profiles …", no_args_is_help=True)


@app.command()
def check(fixtures: Fixtures = FIXTURES) -> None:
    """Check every file; exit 1 if one has an error. Each error names the file, the line and the key."""
    from tokgate.config.words import format_count

    wrong = read = 0
    for _, _, result in catalogue(fixtures).check():
        read += 1
        if isinstance(result, SpecError):
            wrong += 1
            echo(str(result), err=True)
    if not read:
        echo(f"no files in {fixtures}", err=True)
    else:
        echo(f"{f'errors in {wrong} of' if wrong else 'no errors in'} {format_count(read, 'file')}")
    raise typer.Exit(1 if wrong or not read else 0)


@app.command("list")
def list_(fixtures: Fixtures = FIXTURES) -> None:
    """List all files in a table."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from tokgate._printable import escape_line

    table = Table("kind", "name", "description", box=None)
    for kind, name, read in catalogue(fixtures).check():
        text = Text(escape_line(str(read)), "red" if isinstance(read, SpecError) else "")
        table.add_row(kind, escape_line(name), text)
    Console(markup=False).print(table)
