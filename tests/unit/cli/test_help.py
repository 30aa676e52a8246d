"""The help of the commands, as a user sees it."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from tokgate.cli import app


@pytest.mark.parametrize(("command", "extra"), [("history export", "parquet"), ("history changes", "nightly")])
def test_help_keeps_the_name_of_an_extra(command: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Square brackets are not markup: `pip install 'tokgate'` would install nothing that is missing."""
    monkeypatch.setenv("COLUMNS", "200")
    text = CliRunner().invoke(app, [*command.split(), "--help"]).output
    assert f"pip install 'tokgate[{extra}]'" in text
