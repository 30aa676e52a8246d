"""`tokgate import` finds the importers by their files, and passes each only the options it has."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tokgate._exceptions import UsageError
from tokgate.cli import app
from tokgate.store.importers import find_importer, format_names


def test_formats_are_found() -> None:
    assert format_names() == ["csv", "llama-bench", "pytest-benchmark", "vllm-bench"]
    for name in format_names():
        assert callable(find_importer(name).read)


def test_unknown_format_is_rejected() -> None:
    with pytest.raises(UsageError, match="no such format: `llama-bnech`; did you mean `llama-bench`"):
        find_importer("llama-bnech")


@pytest.mark.parametrize(("name", "flag"), [("csv", "--at"), ("vllm-bench", "--map"), ("llama-bench", "--map")])
def test_option_of_another_format_is_rejected(tmp_path: Path, name: str, flag: str) -> None:
    outcome = CliRunner().invoke(app, ["import", name, str(tmp_path / "x"), flag, "a=b"])
    assert isinstance(outcome.exception, UsageError)
    fitting = {"--at": "llama-bench", "--map": "csv"}[flag]
    assert str(outcome.exception) == f"{flag} does not apply to {name}; only to {fitting}"


def test_missing_file_is_an_error(tmp_path: Path) -> None:
    outcome = CliRunner().invoke(app, ["import", "csv", str(tmp_path / "gone"), "--map", "value=a"])
    assert str(outcome.exception) == f"{tmp_path / 'gone'}: cannot be read: No such file or directory"
