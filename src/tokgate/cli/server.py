"""`tokgate server`: a declared server as tokgate would start it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from tokgate.cli.options import FIXTURES, Fixtures, catalogue

app = typer.Typer(help="Declared servers: show one as it would be started.", no_args_is_help=True)


class Form(StrEnum):
    """How a server is shown."""

    YAML = "yaml"
    DOCKER_RUN = "docker-run"


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A server of fixtures/servers.")],
    form: Annotated[
        Form, typer.Option("--as", help="yaml: with all it extends; docker-run: the line to type.")
    ] = Form.YAML,
    fixtures: Fixtures = FIXTURES,
) -> None:
    """Print one server, whole, or the docker run line that starts the same container by hand."""
    import msgspec
    import yaml

    spec = catalogue(fixtures).server(name)
    if form is Form.DOCKER_RUN:
        from tokgate.launch.docker.run_line import docker_run

        typer.echo(docker_run(spec))
        return
    plain = msgspec.to_builtins(spec, enc_hook=str)
    typer.echo(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=110), nl=False)


@app.callback()
def _group() -> None:
    """Keeps `show` a command of its own while it is the only one."""
