"""External text is safe to print: errors, the command line, tables, Markdown and HTML show it and never obey it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from tokgate._exceptions import BaselineRefused, HostUnusable, ImageMissing, RecordError, SpecError, TokgateError
from tokgate._printable import MOST_CHARACTERS, escape_line, escape_text
from tokgate.cli.output import echo, echo_json
from tokgate.report.markdown import escape
from tokgate.report.table import render

HOSTILE = "\x1b]0;title\x07 \x1b[31mred \u202egnp.exe\u2066 \x9b2J \ud800 \r\x00"


@given(st.text())
def test_a_line_is_printable_and_short(text: str) -> None:
    line = escape_line(text)
    assert line.isprintable()
    assert len(escape_line("\x1b" * 50 + text * 5000)) < 12 * MOST_CHARACTERS
    assert line == text or not text.isprintable() or len(text) > MOST_CHARACTERS


@given(st.text())
def test_a_text_keeps_its_lines(text: str) -> None:
    lines = escape_text(text).split("\n")
    assert len(lines) == text.count("\n") + 1
    assert all(line.replace("\t", "").isprintable() for line in lines)


def test_a_long_text_keeps_its_ends() -> None:
    """They say where it is wrong and what to do next."""
    text = f"x.yaml:3: unknown key {'k' * 200_000}. Next: remove it"
    line = escape_line(text)
    assert line.startswith("x.yaml:3: unknown key kkk")
    assert f"… ({len(text):,} characters) …" in line
    assert line.endswith("kkk. Next: remove it")
    assert len(line) < MOST_CHARACTERS + 40
    assert escape_text(text) == line


@pytest.mark.parametrize(
    "error",
    [
        SpecError(f"wrong {HOSTILE}\n", file=Path(f"/x/{HOSTILE}\n"), line=1, key=f"a.{HOSTILE}\n"),
        RecordError(f"wrong {HOSTILE}\n", path=Path(f"/x/{HOSTILE}\n")),
        ImageMissing(f"no image {HOSTILE}", server=f"s{HOSTILE}\n"),
        HostUnusable(HOSTILE, host=f"ssh://{HOSTILE}\n"),
        BaselineRefused(HOSTILE),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_are_printable(error: TokgateError) -> None:
    assert str(error).isprintable()
    assert r"\x1b]0;title\x07" in str(error)


def test_commands_print_nothing_to_obey(capsys: pytest.CaptureFixture[str]) -> None:
    echo(f"first {HOSTILE}\nsecond")
    first, second = capsys.readouterr().out.splitlines()
    assert first.isprintable()
    assert (r"\u202egnp.exe" in first, second) == (True, "second")


def test_json_of_commands_is_complete(capsys: pytest.CaptureFixture[str]) -> None:
    """It is for programs: nothing is cut, and it says the same."""
    value = {"name": HOSTILE.replace("\ud800", "\U000e0001") + "long" * 1000}
    echo_json(value)
    out = capsys.readouterr().out
    assert out.rstrip("\n").isprintable()
    assert json.loads(out) == value


def test_tables_and_markdown_show_controls() -> None:
    assert render(Text(HOSTILE), width=200, color=False).replace("\n", "").isprintable()
    assert escape(HOSTILE).replace("\N{ZERO WIDTH SPACE}", "").isprintable()
