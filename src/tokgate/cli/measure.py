"""`tokgate measure`: the numbers of one server, now, without the suite."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def measure(
    url: Annotated[str, typer.Argument(help="The server, up to but without /v1: http://127.0.0.1:8000")],
    model: Annotated[str, typer.Option(help="Model id to ask for, as /v1/models lists it.")],
    prompts: Annotated[Path, typer.Option(help="A prompt set: JSONL with id and messages.")],
    concurrency: Annotated[
        int, typer.Option(min=1, help="Users, each sending when the last answer ended.")
    ] = 1,
    requests: Annotated[int, typer.Option(min=1, help="Requests to time.")] = 8,
    max_tokens: Annotated[int, typer.Option(min=2, help="Tokens asked of each request, exactly.")] = 128,
    json: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="Write the measurement as JSON; - for stdout.")
    ] = None,
) -> None:
    """Measure any OpenAI-compatible server as the suite does: warm up, drive, validate.

    Exit 0 when the measurement is valid, 1 when it is not (it says why), 3 when there is no such server.
    """
    import sys

    import msgspec
    from rich.console import Console

    from tokgate.config.prompts import read_prompts
    from tokgate.config.workload import Closed, Workload
    from tokgate.report.progress import live
    from tokgate.report.terminal import describe_measurement
    from tokgate.store.files import write_atomically
    from tokgate.suite.box import own_box
    from tokgate.suite.oneshot import measure_url

    workload = Workload(
        name="measure",
        description="as asked on the command line",
        prompts=prompts.stem,
        requests=requests,
        max_tokens=max_tokens,
        load=Closed(concurrency=concurrency),
    )
    prompt_set = read_prompts(prompts, stated=False)
    told = Console(stderr=True)
    with (
        own_box(["tokgate measure"], wait=True, say=lambda text: told.print(f"tokgate: {text}")),
        live(url, told) as watch,
    ):
        result = measure_url(url, model, workload, prompt_set, watch=watch)
    if json == "-":
        sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")
    else:
        typer.echo(describe_measurement(result))
        if json is not None:
            write_atomically(Path(json), msgspec.json.encode(result))
    raise typer.Exit(0 if result.valid else 1)
