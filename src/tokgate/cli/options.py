"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tokgate._exceptions import UsageError

if TYPE_CHECKING:
    from tokgate.config.catalogue import Catalogue

Fixtures = Annotated[
    Path, typer.Option("--fixtures", help="Folder that contains servers/, workloads/, prompts/, profiles/ …")
]
Runs = Annotated[Path, typer.Option("--runs", help="Folder of run records.")]
Baselines = Annotated[Path, typer.Option("--baselines", help="Folder of baselines.")]

FIXTURES = Path("fixtures")
RUNS = Path("runs")
BASELINES = Path("baselines")


def parse_budget(text: str | None) -> float | None:
    """The seconds of --budget; None without one. Raises UsageError."""
    from tokgate.config.units import Duration

    if text is None:
        return None
    try:
        seconds = Duration.parse(text)
    except ValueError as error:
        raise UsageError(f"--budget: {error}") from error
    if seconds <= 0:
        raise UsageError(f"--budget must be more than 0 (got {text})")
    return float(seconds)


def catalogue(fixtures: Path) -> Catalogue:
    """Open the declarations in `fixtures`. Raises UsageError if there is no such folder."""
    from tokgate.engines.specs import open_catalogue

    if not fixtures.is_dir():
        raise UsageError(
            f"no such folder: {fixtures}. Next: run this in the folder that contains fixtures/, or pass --fixtures DIR"
        )
    return open_catalogue(fixtures)
