"""`tokgate doctor`: check whether this machine can run a profile, and how steady it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tokgate.cli.options import FIXTURES, RUNS, Fixtures, Runs
from tokgate.cli.output import echo, echo_json

if TYPE_CHECKING:
    from pathlib import Path

    from tokgate.config.catalogue import Catalogue


def doctor(
    profile: Annotated[str, typer.Option(help="A profile: auto, its name or its path.")] = "auto",
    steadiness: Annotated[
        bool,
        typer.Option(
            "--steadiness",
            help="Also launch the embedded engine again and again, and say which drop a stored baseline detects here.",
        ),
    ] = False,
    seconds: Annotated[float, typer.Option(min=1, help="Duration of --steadiness, in seconds.")] = 60,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    runs: Runs = RUNS,
    fixtures: Fixtures = FIXTURES,
) -> None:
    """Check Docker, devices, groups, images, models, disk and memory; exit 1 if the profile cannot run here."""
    from tokgate.cli.options import catalogue
    from tokgate.machine.doctor import can_run, examine
    from tokgate.suite.needs import check_models, find_needs

    declared = catalogue(fixtures)
    chosen, needs = find_needs(declared, profile)
    checks = (*examine(needs), *check_models(declared, profile))
    if not json:
        echo(f"profile {chosen}")
        for check in checks:
            mark = {True: "ok  ", False: "FAIL", None: "note"}[check.ok]
            echo(f"  {mark} {check.name}: {check.seen}")
            if check.remedy:
                echo(f"       → {check.remedy}")
        echo("this profile can run here" if can_run(checks) else "this profile cannot run here yet")
    line = _measure_steadiness(declared, profile, runs, seconds) if steadiness else None
    if json:
        result = {"profile": chosen, "can_run": can_run(checks), "checks": checks, "steadiness": line}
        echo_json(result)
    elif line is not None:
        echo(line)
    raise typer.Exit(0 if can_run(checks) else 1)


def _measure_steadiness(declared: Catalogue, profile: str, runs: Path, seconds: float) -> str:
    """Run the trial, showing each repetition on stderr; the line about this machine."""
    from tokgate.suite.box import own_box
    from tokgate.suite.plan import plan_run
    from tokgate.suite.steadiness import count_family, run_trial, summarize_steadiness

    def say(text: str) -> None:
        echo(text, err=True)

    with own_box(["tokgate doctor --steadiness"], wait=True, say=say):
        run_trial(declared, runs, seconds=seconds, say=say)
    return summarize_steadiness(runs, family=count_family(plan_run(declared, profile=profile)))
