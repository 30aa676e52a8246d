"""`tokgate spec`: what is declared, and whether it is right."""

from __future__ import annotations

from pathlib import Path

import typer

from tokgate.cli.options import FIXTURES, Fixtures

app = typer.Typer(
    help="Declared servers, workloads, prompts, profiles: check and list them.", no_args_is_help=True
)


@app.command()
def check(fixtures: Fixtures = FIXTURES) -> None:
    """Validate every file; exit 1 when one is wrong. Each error names file, line, key and the nearest name."""
    wrong = read = 0
    for _, _, error in _catalogue(fixtures).check():
        read += 1
        if error is not None:
            wrong += 1
            typer.echo(str(error), err=True)
    typer.echo(f"{read} files, {wrong} wrong")
    raise typer.Exit(1 if wrong or not read else 0)


@app.command("list")
def list_(fixtures: Fixtures = FIXTURES) -> None:
    """Show what is declared as a table."""
    from rich.console import Console
    from rich.table import Table

    from tokgate._exceptions import SpecError

    catalogue = _catalogue(fixtures)
    table = Table("kind", "name", "description", box=None)
    for kind, name, error in catalogue.check():
        table.add_row(
            kind,
            name,
            f"[red]{error}[/]" if isinstance(error, SpecError) else _describe(catalogue, kind, name),
        )
    Console().print(table)


def _describe(catalogue: object, kind: str, name: str) -> str:
    singular = {"hypotheses": "hypothesis", "hardware": "hardware", "prompts": "prompts"}.get(kind, kind[:-1])
    declared = getattr(catalogue, singular)(name)
    if kind == "prompts":
        return f"{len(declared.prompts)} prompts, sha256 {declared.sha256[:12]}…"
    return str(getattr(declared, "description", None) or declared.title)


def _catalogue(fixtures: Path):  # type: ignore[no-untyped-def]
    from tokgate._exceptions import UsageError
    from tokgate.spec.catalogue import Catalogue

    if not fixtures.is_dir():
        raise UsageError(f"no folder {fixtures}; run this where fixtures/ is, or give --fixtures DIR")
    return Catalogue(fixtures)
