"""`tokgate roofline` rejects wrong arguments in the order in which they are written."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tokgate._exceptions import UsageError
from tokgate.cli import app

FIXTURES = str(Path(__file__).parents[3] / "fixtures")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope"], r"no such model: nope .*valid: .*qwen2\.5-14b"),
        (["nope", "--quant", "Q9"], "no such model: nope "),
        (["Qwen2.5-14B"], "--quant is required; valid: AWQ, FP16, Q4_K_M"),
        (["Qwen2.5-14B", "--quant", "Q9"], "--quant Q9: unknown; "),
    ],
)
def test_wrong_argument_is_named(arguments: list[str], message: str) -> None:
    outcome = CliRunner().invoke(app, ["roofline", *arguments, "--fixtures", FIXTURES])
    assert isinstance(outcome.exception, UsageError)
    with pytest.raises(UsageError, match=message):
        raise outcome.exception
