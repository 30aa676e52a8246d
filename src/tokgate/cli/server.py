"""`tokgate server`: show how tokgate starts a server."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from tokgate._secrets import redact_data
from tokgate.cli.options import FIXTURES, Fixtures, catalogue
from tokgate.cli.output import echo

app = typer.Typer(help="Show how tokgate starts a server.", no_args_is_help=True)


class Form(StrEnum):
    """Formats of `tokgate server show`."""

    YAML = "yaml"
    DOCKER_RUN = "docker-run"


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A server of fixtures/servers.")],
    form: Annotated[
        Form, typer.Option("--as", help="yaml: the complete spec; docker-run: a command line.")
    ] = Form.YAML,
    fixtures: Fixtures = FIXTURES,
) -> None:
    """Print the complete spec of a server, or the `docker run` command that starts the same container."""
    import msgspec
    import yaml

    spec = catalogue(fixtures).server(name)
    if form is Form.DOCKER_RUN:
        from tokgate.launch.docker.run_line import format_docker_run

        echo(format_docker_run(spec))
        return
    plain = redact_data(msgspec.to_builtins(spec, enc_hook=str))
    echo(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=110), nl=False)


@app.callback()
def _group() -> None:
    """Typer would drop the name of a group's only command: this keeps `show`."""
