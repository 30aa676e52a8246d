"""`tokgate models`: check and fetch the model files that the servers of a profile load."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tokgate.cli.options import FIXTURES, Fixtures, catalogue
from tokgate.cli.output import echo

if TYPE_CHECKING:
    from tokgate.launch.models.weights import Weights

app = typer.Typer(help="Model files of a profile: check and fetch them.", no_args_is_help=True)
Profile = Annotated[str, typer.Option(help="A profile: auto, its name or its path.")]


@app.command()
def check(
    profile: Profile = "auto",
    verify: Annotated[bool, typer.Option("--hash", help="Also compare the SHA-256 of each file.")] = False,
    fixtures: Fixtures = FIXTURES,
) -> None:
    """List missing and damaged files with their sizes, without network access; exit 1 if there are any."""
    from tokgate.config.words import format_size
    from tokgate.launch.models.weights import find_damaged, find_missing

    is_wrong, missing_bytes = False, 0
    for weights in _read_weights(fixtures, profile):
        missing = find_missing(weights)
        broken = [*find_damaged(weights)] if verify else []
        is_wrong = is_wrong or missing is not None or bool(broken)
        if missing is None and not broken:
            echo(f"present   {weights.name}: {weights.folder}")
        if missing is not None:
            missing_bytes += missing.size or 0
            size = "size unknown" if missing.size is None else format_size(missing.size)
            echo(f"MISSING   {weights.name}: {', '.join(missing.files)} ({size}) in {weights.folder}")
        for path in broken:
            echo(f"DAMAGED   {path}: its SHA-256 differs. Next: remove it and fetch it again")
    if is_wrong:
        echo(f"{format_size(missing_bytes)} to fetch: tokgate models fetch --profile {profile}")
    raise typer.Exit(1 if is_wrong else 0)


@app.command()
def fetch(profile: Profile = "auto", fixtures: Fixtures = FIXTURES) -> None:
    """Fetch missing files from the Hugging Face Hub; run it again to resume after an interruption."""
    from tokgate.launch.models.fetch import fetch as fetch_one
    from tokgate.launch.models.weights import find_missing

    for weights in _read_weights(fixtures, profile):
        folder = weights.folder if find_missing(weights) is None else fetch_one(weights)
        echo(f"present   {weights.name}: {folder}")


def _read_weights(fixtures: Path, profile: str) -> list[Weights]:
    """The weights that the servers of a profile load, each once."""
    from tokgate.suite.needs import list_weights

    weights = list_weights(catalogue(fixtures), profile)
    if not weights:
        echo("no server of this profile loads a model from the disk of this machine")
    return weights
