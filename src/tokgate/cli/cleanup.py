"""`tokgate cleanup`: leave the machine as if nothing had run."""

from __future__ import annotations

from pathlib import Path

import typer


def cleanup() -> None:
    """End the runs that were started in this folder, and remove the containers of runs that are gone.

    For a runner, after a job. The lease ends with the run that held it. Whatever belongs to a run elsewhere,
    or to anything but tokgate, is left alone. Exit code 0, also when there was nothing to do.
    """
    from tokgate.launch.docker.sweep import sweep
    from tokgate.machine.leftovers import end_runs

    for run in end_runs(Path.cwd()):
        typer.echo(f"ended {run}")
    for container in sweep():
        typer.echo(f"removed container {container}")
