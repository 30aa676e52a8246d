"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Fixtures = Annotated[
    Path, typer.Option("--fixtures", help="Folder with servers/, workloads/, prompts/, profiles/ …")
]
Runs = Annotated[Path, typer.Option("--runs", help="Folder of run records.")]
Baselines = Annotated[Path, typer.Option("--baselines", help="Folder of baselines.")]

FIXTURES = Path("fixtures")
RUNS = Path("runs")
BASELINES = Path("baselines")
