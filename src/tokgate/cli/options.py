"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tokgate._exceptions import UsageError

if TYPE_CHECKING:
    from tokgate.config.catalogue import Catalogue

Fixtures = Annotated[
    Path, typer.Option("--fixtures", help="Folder with servers/, workloads/, prompts/, profiles/ …")
]
Runs = Annotated[Path, typer.Option("--runs", help="Folder of run records.")]
Baselines = Annotated[Path, typer.Option("--baselines", help="Folder of baselines.")]

FIXTURES = Path("fixtures")
RUNS = Path("runs")
BASELINES = Path("baselines")


def catalogue(fixtures: Path) -> Catalogue:
    """What is declared below `fixtures`. Raises UsageError when there is no such folder."""
    from tokgate.engines.specs import open_catalogue

    if not fixtures.is_dir():
        raise UsageError(f"no folder {fixtures}; run this where fixtures/ is, or give --fixtures DIR")
    return open_catalogue(fixtures)
