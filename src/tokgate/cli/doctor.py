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
    import msgspec

    from tokgate.cli.options import catalogue
    from tokgate.machine.doctor import can_run, examine
    from tokgate.suite.needs import model_checks, needs_of

    declared = catalogue(fixtures)
    chosen, needs = needs_of(declared, profile)
    checks = (*examine(needs), *model_checks(declared, profile))
    if json:
        told = {"profile": chosen, "can_run": can_run(checks), "checks": checks}
        typer.echo(msgspec.json.encode(told).decode())
    else:
        typer.echo(f"profile {chosen}")
        for check in checks:
            mark = {True: "ok  ", False: "FAIL", None: "note"}[check.ok]
            typer.echo(f"  {mark} {check.name}: {check.seen}")
            if check.remedy:
                typer.echo(f"       → {check.remedy}")
        typer.echo("it can run here" if can_run(checks) else "it cannot run here yet")
    raise typer.Exit(0 if can_run(checks) else 1)
