"""`tokgate compare`: compare two runs."""

from __future__ import annotations

from typing import Annotated

import typer

from tokgate.cli.options import RUNS, Runs
from tokgate.cli.output import echo_rendered

_RUN = "a run ID or its beginning, its folder, or `latest`."


def compare(
    run_a: Annotated[str, typer.Argument(metavar="RUN_A", help=f"What to compare with: {_RUN}")],
    run_b: Annotated[str, typer.Argument(metavar="RUN_B", help=f"What is compared with it: {_RUN}")],
    runs: Runs = RUNS,
) -> None:
    """Show where B is faster or slower than A, and what else differs: machine, image, engine, arguments.

    It only describes: the exit code is 0 whatever the differences are. Baselines fail runs (`tokgate baseline
    accept`). Exit code 2 on wrong usage; 3 when a run cannot be read.
    """
    from rich.console import Console

    from tokgate.report.compare import format_comparison
    from tokgate.store.runs import read_one_run

    a, b = (read_one_run(runs, name) for name in (run_a, run_b))
    console = Console()
    echo_rendered(format_comparison(a, b, width=console.width, color=console.is_terminal))
