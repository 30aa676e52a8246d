"""Everything that the commands print passes here, so that no external text can control the terminal."""

from __future__ import annotations

import typer

from tokgate._printable import escape_text


def echo(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Print text on stdout, or on stderr; control characters are visible, and long lines are cut."""
    typer.echo(escape_text(text), err=err, nl=nl)  # noqa: TID251


def echo_rendered(text: str) -> None:
    """Print what `tokgate.report.table.render` made, with its colors."""
    typer.echo(text)  # noqa: TID251


def echo_json(value: object) -> None:
    """Print a value as one line of JSON, complete; characters that a terminal may obey are escaped as JSON does."""
    import json

    from tokgate.store.files import encode_json

    text = encode_json(value).decode()
    if not text.isprintable():
        text = "".join(part if part.isprintable() else json.dumps(part)[1:-1] for part in text)
    typer.echo(text)  # noqa: TID251
