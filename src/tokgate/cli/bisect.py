"""`tokgate bisect`: which image made a server slow."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer

from tokgate.cli.options import FIXTURES, RUNS, Fixtures, Runs, catalogue, parse_budget
from tokgate.cli.output import echo
from tokgate.config.words import format_count

NOT_REPRODUCED, CANNOT_TELL, INTERRUPTED = 1, 4, 130


def bisect(
    good: Annotated[str, typer.Option(metavar="IMAGE", help="Full reference of an image that is known to be fast.")],
    bad: Annotated[str, typer.Option(metavar="IMAGE", help="Full reference of an image that is slow.")],
    tags: Annotated[
        str,
        typer.Option(
            metavar="T1,T2,…",
            help="The images between them, oldest first: tags of the good image's repository, or full references.",
        ),
    ],
    server: Annotated[str, typer.Option(metavar="NAME", help="The declared server whose image is replaced.")],
    workload: Annotated[str, typer.Option(metavar="NAME", help="The workload it is measured with.")],
    metric: Annotated[
        str | None, typer.Option(help="Which gated metric of the workload got slower (default: the first).")
    ] = None,
    blocks: Annotated[
        int,
        typer.Option(min=2, help="The most blocks of a step; a block has 2 launches of each image."),
    ] = 4,
    budget: Annotated[
        str | None, typer.Option(metavar="TIME", help="Start no launch after this time (45m, 2h).")
    ] = None,
    fixtures: Fixtures = FIXTURES,
    out: Runs = RUNS,
) -> None:
    """Find the first image at which a server became slower, by measuring a few of them.

    Good and bad are measured first, in mirrored blocks. Then the image in the middle of the
    remaining ones is measured next to new launches of both, until the test can tell which of
    the two it is closer to, or its blocks are used up. An image that does not start, or stays
    undecided, is skipped. The first slow image is the first that lost at least half of what
    the bad one lost. At most 5 of 100 searches give a wrong answer.

        tokgate bisect --good vllm/vllm-openai:v0.13.0 --bad vllm/vllm-openai:v0.15.0
            --tags v0.13.1,v0.14.0,v0.14.1 --server vllm-current --workload answer-c8

    Every launch is kept in an ordinary run record, which `tokgate report` shows. It is not
    part of the server's history and cannot become a baseline.

    Exit code 0 when the image is found; 1 when bad is not slower than good; 2 on wrong
    usage; 3 when it is not possible (an image is missing, good or bad does not start);
    4 when only a range is known; 130 on Ctrl-C.
    """
    from rich.console import Console

    from tokgate.judge.bisect import count_steps
    from tokgate.report.bisect import describe_result, describe_step
    from tokgate.report.progress import ProgressBars, is_live
    from tokgate.store.runs import RECORD, new_run_folder
    from tokgate.suite.bisect import list_images, plan_search, run_bisect
    from tokgate.suite.box import own_run
    from tokgate.suite.heartbeat import Heartbeat

    seconds = parse_budget(budget)
    images = list_images(good, bad, [tag.strip() for tag in tags.split(",")])
    search = plan_search(catalogue(fixtures), server=server, workload=workload, metric=metric, images=images)
    command, console = ("tokgate", *sys.argv[1:]), Console(stderr=True)
    record = ""

    def say(text: str) -> None:
        echo(f"tokgate: {text}", err=True)

    try:
        with own_run(
            search.plan,
            lambda: new_run_folder(out),
            command=command,
            wait=True,
            say=say,
        ) as writer:
            record = str(writer.folder / RECORD)
            echo(
                f"{server} × {workload} {search.metric}: {len(images)} images, {count_steps(len(images) - 2)} steps "
                f"unless some are skipped, at most {format_count(6 * blocks, 'launch')} each"
            )
            ends = time.monotonic() + seconds if seconds is not None else None
            bisection = run_bisect(
                search,
                writer,
                blocks=blocks,
                goes_on=lambda _: ends is None or time.monotonic() < ends,
                observer=ProgressBars(console) if is_live(console) else Heartbeat(say),
                tell=lambda step: echo(describe_step(search.metric, step)),
            )
    except KeyboardInterrupt:
        kept = f"; its launches are kept: {record}" if record else ""
        echo(f"tokgate: interrupted{kept}", err=True)
        raise typer.Exit(INTERRUPTED) from None
    for line in describe_result(bisection, writer.record, search.created):
        echo(line)
    echo(f"record: {record}")
    if bisection.outcome != "found":
        unclear = bisection.stopped or bisection.outcome == "range"
        raise typer.Exit(CANNOT_TELL if unclear else NOT_REPRODUCED)
