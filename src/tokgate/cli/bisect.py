"""`tokgate bisect`: which image made a server slow."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from tokgate._exceptions import UsageError
from tokgate.cli.options import FIXTURES, RUNS, Fixtures, Runs, catalogue

if TYPE_CHECKING:
    from tokgate.config.catalogue import Catalogue
    from tokgate.judge.bisect import Bisection

NOT_REPRODUCED, CANNOT_TELL, INTERRUPTED = 1, 4, 130


def bisect(
    good: Annotated[str, typer.Option(metavar="IMAGE", help="A full reference, known to be fast.")],
    bad: Annotated[str, typer.Option(metavar="IMAGE", help="A full reference, found to be slow.")],
    tags: Annotated[
        str,
        typer.Option(
            metavar="T1,T2,…",
            help="The images between, oldest first: tags of the good image's repository, or full references.",
        ),
    ],
    server: Annotated[str, typer.Option(metavar="NAME", help="The declared server whose image is replaced.")],
    workload: Annotated[str, typer.Option(metavar="NAME", help="What it is measured under.")],
    metric: Annotated[
        str | None, typer.Option(help="What got slower, of those the workload gates (default: the first).")
    ] = None,
    blocks: Annotated[
        int,
        typer.Option(min=2, help="Blocks of a step, at most; 2 launches of each image a block."),
    ] = 4,
    budget: Annotated[
        str | None, typer.Option(metavar="TIME", help="Begin no launch after this time (45m, 2h).")
    ] = None,
    fixtures: Fixtures = FIXTURES,
    out: Runs = RUNS,
) -> None:
    """Find the first image at which a server became slower, by measuring a few of them.

    Good and bad are measured first, in turns. Then the image in the middle of those
    left is measured beside fresh launches of both, until the test can tell which of the
    two it is like, or its blocks are used up. An image that does not start, or cannot be
    told, is gone round. The first slow image is the first that lost at least half of what
    the bad one lost. The whole answer is wrong in at most 5 of 100 searches.

        tokgate bisect --good vllm/vllm-openai:v0.13.0 --bad vllm/vllm-openai:v0.15.0
            --tags v0.13.1,v0.14.0,v0.14.1 --server vllm-current --workload answer-c8

    Every launch is kept in an ordinary run record, which `tokgate report` shows; it is no
    point of the server's history and can be no baseline.

    Exit code 0 when the image is found; 1 when bad is not slower than good; 2 on wrong
    usage; 3 when it could not be done (an image is missing, good or bad does not start);
    4 when only a range can be told; 130 on Ctrl-C.
    """
    from tokgate.report.bisect import ending
    from tokgate.suite.bisect import check_images, row_of
    from tokgate.suite.plan import image_cases

    declared = catalogue(fixtures)
    metric = _metric(declared, workload, metric)
    seconds = _seconds(budget)
    images = row_of(good, bad, [tag.strip() for tag in tags.split(",")])
    cases = image_cases(declared, server, workload, images)
    created = check_images(server, images)
    from rich.console import Console

    from tokgate.judge.bisect import most_steps
    from tokgate.launch.docker.sweep import sweep
    from tokgate.machine.lease import hold_lease
    from tokgate.report.bisect import step_line
    from tokgate.report.progress import live
    from tokgate.store.runs import RECORD, new_run_folder
    from tokgate.suite.bisect import open_bisect, run_bisect

    command = ("tokgate", *sys.argv[1:])
    progress = Console(stderr=True)
    writer = None
    try:
        with hold_lease(
            wait=True,
            describe=" ".join(command),
            on_wait=lambda text: typer.echo(f"tokgate: {text}", err=True),
        ):
            for removed in sweep():
                typer.echo(f"tokgate: removed what a killed run left: {removed}", err=True)
            writer = open_bisect(cases, new_run_folder(out), command=command)
            typer.echo(
                f"{server} × {workload} {metric}: {len(images)} images, {most_steps(len(images) - 2)} steps "
                f"unless some are gone round, at most {6 * blocks} launches each"
            )
            ends = time.monotonic() + seconds if seconds is not None else None
            found = run_bisect(
                cases,
                writer,
                metric=metric,
                blocks=blocks,
                goes_on=lambda _: ends is None or time.monotonic() < ends,
                around=lambda title: live(title, progress),
                tell=lambda step: typer.echo(step_line(metric, step)),
            )
    except KeyboardInterrupt:
        kept = f"; its launches are kept: {writer.folder / RECORD}" if writer is not None else ""
        typer.echo(f"tokgate: interrupted{kept}", err=True)
        raise typer.Exit(INTERRUPTED) from None
    for line in ending(found, writer.record, created):
        typer.echo(line)
    typer.echo(f"record: {writer.folder / RECORD}")
    raise typer.Exit(_code(found))


def _metric(declared: Catalogue, workload: str, metric: str | None) -> str:
    gated = [str(name) for name in declared.workload(workload).gated]
    if metric is not None and metric not in gated:
        raise UsageError(f"--metric {metric}: workload {workload} gates {', '.join(gated)}")
    return metric or gated[0]


def _seconds(budget: str | None) -> float | None:
    from tokgate.config.units import Duration

    if budget is None:
        return None
    try:
        return Duration.parse(budget)
    except ValueError as error:
        raise UsageError(f"--budget: {error}") from error


def _code(found: Bisection) -> int:
    if found.outcome == "found":
        return 0
    return CANNOT_TELL if found.stopped or found.outcome == "range" else NOT_REPRODUCED
