"""`tokgate doctor`: what this machine can run, and what to do about what it cannot."""

from __future__ import annotations

from typing import Annotated

import typer

from tokgate.cli.options import FIXTURES, Fixtures


def doctor(
    profile: Annotated[str, typer.Option(help="auto, a profile's name, or the path of one.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    fixtures: Fixtures = FIXTURES,
) -> None:
    """Check Docker, devices, groups, images, models, disk and memory; exit 0 only when the profile can run."""
    raise NotImplementedError
