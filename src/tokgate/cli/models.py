"""`tokgate models`: the files of models that a profile's servers load, fetched and checked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tokgate.cli.options import FIXTURES, Fixtures, catalogue

if TYPE_CHECKING:
    from tokgate.launch.models.weights import Weights

app = typer.Typer(help="Model files of a profile: fetch them, or see what is missing.", no_args_is_help=True)
Profile = Annotated[str, typer.Option(help="auto, a profile's name, or the path of one.")]


@app.command()
def check(
    profile: Profile = "auto",
    verify: Annotated[bool, typer.Option("--hash", help="Read every file and compare its SHA-256.")] = False,
    fixtures: Fixtures = FIXTURES,
) -> None:
    """Say what is missing and how many GB, without a network; exit 1 when anything is missing or damaged."""
    from tokgate.launch.models.weights import damaged, lack

    wrong, missing_bytes = False, 0
    for one in _weights(fixtures, profile):
        missing = lack(one)
        broken = [*damaged(one)] if verify else []
        wrong = wrong or missing is not None or bool(broken)
        if missing is None and not broken:
            typer.echo(f"there     {one.name}: {one.folder}")
        if missing is not None:
            missing_bytes += missing.size or 0
            size = "size not declared" if missing.size is None else f"{missing.size / 1e9:.2f} GB"
            typer.echo(f"MISSING   {one.name}: {', '.join(missing.files)} ({size}) in {one.folder}")
        for path in broken:
            typer.echo(f"DAMAGED   {path}: its SHA-256 differs; remove it")
    if wrong:
        typer.echo(f"{missing_bytes / 1e9:.2f} GB to fetch: tokgate models fetch --profile {profile}")
    raise typer.Exit(1 if wrong else 0)


@app.command()
def fetch(profile: Profile = "auto", fixtures: Fixtures = FIXTURES) -> None:
    """Fetch what is missing from the Hugging Face hub; run it again to go on where it stopped."""
    from tokgate.launch.models.fetch import fetch as fetch_one
    from tokgate.launch.models.weights import lack

    for one in _weights(fixtures, profile):
        place: Path = one.folder if lack(one) is None else fetch_one(one)
        typer.echo(f"there     {one.name}: {place}")


def _weights(fixtures: Path, profile: str) -> list[Weights]:
    """What the servers of a profile load, each once."""
    from tokgate.suite.needs import weights_of_profile

    found = weights_of_profile(catalogue(fixtures), profile)
    if not found:
        typer.echo("no server of this profile loads a model from this machine's disk")
    return found
