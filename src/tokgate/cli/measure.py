"""`tokgate measure`: measure one running server without the suite."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tokgate.cli.output import echo, echo_json


def measure(
    url: Annotated[str, typer.Argument(help="Base URL of the server, without /v1: http://127.0.0.1:8000")],
    model: Annotated[str, typer.Option(help="ID of the model to request, as listed by /v1/models.")],
    prompts: Annotated[Path, typer.Option(help="Prompt set: a JSONL file with id and messages.")],
    concurrency: Annotated[
        int,
        typer.Option(min=1, help="Number of users; each sends a request when the previous one has ended."),
    ] = 1,
    requests: Annotated[int, typer.Option(min=1, help="Number of timed requests.")] = 8,
    max_tokens: Annotated[int, typer.Option(min=2, help="Exact number of tokens that each request generates.")] = 128,
    json: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="Write the measurement as JSON; - for stdout.")
    ] = None,
) -> None:
    """Measure any OpenAI-compatible server like the suite does: warm up, send requests, validate.

    Exit code 0 if the measurement is valid; 1 if it is not, with the reason; 3 if the server does not answer.
    """
    import msgspec
    from rich.console import Console

    from tokgate._secrets import take_credentials
    from tokgate.config.prompts import read_prompts
    from tokgate.config.workload import Closed, Workload
    from tokgate.report.progress import show_progress
    from tokgate.report.terminal import describe_measurement
    from tokgate.store.files import write_atomically
    from tokgate.suite.box import own_box
    from tokgate.suite.oneshot import measure_url

    url = take_credentials(url)
    workload = Workload(
        name="measure",
        description="set on the command line",
        prompts=prompts.stem,
        requests=requests,
        max_tokens=max_tokens,
        load=Closed(concurrency=concurrency),
    )
    prompt_set = read_prompts(prompts, stated=False)
    terminal = Console(stderr=True)
    with (
        own_box(["tokgate measure"], wait=True, say=lambda text: echo(f"tokgate: {text}", err=True)),
        show_progress(url, terminal) as watch,
    ):
        result = measure_url(url, model, workload, prompt_set, watch=watch)
    if json == "-":
        echo_json(result)
    else:
        echo(describe_measurement(result))
        if json is not None:
            write_atomically(Path(json), msgspec.json.encode(result))
    raise typer.Exit(0 if result.valid else 1)
