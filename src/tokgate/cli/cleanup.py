"""`tokgate cleanup`: end runs and remove what killed runs left behind."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from tokgate.cli.output import echo

RUNS = Path("runs")


def cleanup(
    runs: Annotated[Path, typer.Option("--runs", help="Folder of the runs (--tokgate-out).")] = RUNS,
) -> None:
    """End the runs that this user started in this folder, and the servers of runs that no longer exist.

    Meant for a CI runner, after a job. A run is known by the file owner.json in its folder, a server by its label or
    environment, both with pid and start time. What is alive otherwise, or of another user or folder, is left alone
    and listed. The exit code is 0, even if there was nothing to do.
    """
    from tokgate.launch.docker.sweep import sweep
    from tokgate.machine.leftovers import end_runs, end_servers

    for end in (partial(end_runs, runs), end_servers, sweep):
        leftovers = end()
        for what in leftovers.ended:
            echo(f"ended {what}")
        for what in leftovers.left:
            echo(f"left alone: {what}")
