"""`tokgate doctor`: check whether this machine can run a profile, and how to fix what it lacks."""

from __future__ import annotations

from typing import Annotated

import typer

from tokgate.cli.options import FIXTURES, Fixtures


def doctor(
    profile: Annotated[str, typer.Option(help="A profile: auto, its name or its path.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    fixtures: Fixtures = FIXTURES,
) -> None:
    """Check Docker, devices, groups, images, models, disk and memory; exit 1 if the profile cannot run here."""
    import msgspec

    from tokgate.cli.options import catalogue
    from tokgate.machine.doctor import can_run, examine
    from tokgate.suite.needs import check_models, find_needs

    declared = catalogue(fixtures)
    chosen, needs = find_needs(declared, profile)
    checks = (*examine(needs), *check_models(declared, profile))
    if json:
        result = {"profile": chosen, "can_run": can_run(checks), "checks": checks}
        typer.echo(msgspec.json.encode(result).decode())
    else:
        typer.echo(f"profile {chosen}")
        for check in checks:
            mark = {True: "ok  ", False: "FAIL", None: "note"}[check.ok]
            typer.echo(f"  {mark} {check.name}: {check.seen}")
            if check.remedy:
                typer.echo(f"       → {check.remedy}")
        typer.echo("this profile can run here" if can_run(checks) else "this profile cannot run here yet")
    raise typer.Exit(0 if can_run(checks) else 1)
