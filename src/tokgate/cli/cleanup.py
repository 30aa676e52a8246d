"""`tokgate cleanup`: end runs and remove what killed runs left behind."""

from __future__ import annotations

from pathlib import Path

import typer


def cleanup() -> None:
    """End the runs that were started in this folder, and remove containers of runs that no longer exist.

    Meant for a CI runner, after a job. Runs that were started elsewhere, and everything that tokgate did not
    start, are left alone. The exit code is 0, even if there was nothing to do.
    """
    from tokgate.launch.docker.sweep import sweep
    from tokgate.machine.leftovers import end_runs

    for run in end_runs(Path.cwd()):
        typer.echo(f"ended {run}")
    for container in sweep():
        typer.echo(f"removed container {container}")
