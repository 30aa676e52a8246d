"""`tokgate plan`: what a run of a profile will measure, on any machine and before the first run."""

from __future__ import annotations

from typing import Annotated

import typer

from tokgate.cli.options import BASELINES, FIXTURES, RUNS, Baselines, Fixtures, Runs, parse_budget
from tokgate.cli.output import echo, echo_json, echo_rendered

_WIDTH = 100
"""Least width of the table, as that of `--tokgate-plan`: detectable drops need it."""


def plan(
    profile: Annotated[str, typer.Option(help="A profile: auto, its name or its path.")] = "auto",
    budget: Annotated[
        str | None,
        typer.Option(
            help="Time that the run may take (45m, 7h), or night for the profile's (default: the profile's night, else its "
            "budget; without any, every launch)."
        ),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Plan hypotheses, too, whose verdict is known from an earlier run.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    fixtures: Fixtures = FIXTURES,
    runs: Runs = RUNS,
    baselines: Baselines = BASELINES,
) -> None:
    """Show what runs in which order, how long it takes and what it can detect; start nothing.

    It works on any machine: without the GPU, without Docker, and before the first run. Times come from earlier runs of
    this machine, otherwise from token counts with reported rates or the roofline; such estimates are marked.
    """
    from rich.console import Console

    from tokgate.cli.options import catalogue
    from tokgate.report.plan import describe_preview
    from tokgate.suite.budget import LEAST_BLOCKS
    from tokgate.suite.outlook import make_outlook
    from tokgate.suite.plan import NIGHT, plan_run
    from tokgate.suite.preview import look_ahead, select_all
    from tokgate.suite.record import make_first_record

    chosen = plan_run(
        catalogue(fixtures), profile=profile, budget=NIGHT if budget == NIGHT else parse_budget(budget) or NIGHT
    )
    record = make_first_record(chosen, run_id="RUN", command=())
    selected = select_all(chosen)
    outlook = make_outlook(chosen, record, selected.experiments, out=runs, baselines=baselines, again=again)
    _, preview = look_ahead(chosen, selected, outlook, blocks=LEAST_BLOCKS)
    if json:
        echo_json(preview)
        return
    console = Console()
    echo(preview.title)
    echo_rendered(describe_preview(preview, width=max(console.width, _WIDTH), color=console.is_terminal))
