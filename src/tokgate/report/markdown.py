"""Markdown: a run for a job summary and the body of an issue, as GitHub shows it."""

from __future__ import annotations

import re

from jinja2 import Environment, PackageLoader, StrictUndefined

from tokgate._printable import escape_line
from tokgate.report.table import select_filled
from tokgate.report.view import COLUMNS, Report

_SPECIAL = re.compile(r"([\\`*_\[\]<>|~#&!])")
_CALLS = re.compile(r"@(?=\w)|(?<=:)//|(?<=www)\.")
_NOTHING = "\N{ZERO WIDTH SPACE}"

LIMIT = 60_000
"""Characters; the body of an issue on GitHub may have 65,536."""


def to_markdown(report: Report) -> str:
    """The report as Markdown; its first line is `<!-- tokgate: STATE -->`, for programs.

    Every text is escaped: none of it is markup, mentions anybody by @name or is a link.
    """
    environment = Environment(
        loader=PackageLoader("tokgate.report"),
        autoescape=False,
        finalize=escape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals.update(columns=COLUMNS, select_filled=select_filled)
    text = environment.get_template("report.md").render(report=report)
    if len(text) <= LIMIT:
        return text
    return text[: text.rindex("\n", 0, LIMIT)] + "\n\nCut here: see the HTML report for the rest.\n"


def escape(value: object) -> str:
    """`value` as text that Markdown shows as it is, on one line."""
    text = _SPECIAL.sub(r"\\\1", escape_line(" ".join(str(value).split())))
    return _CALLS.sub(lambda match: match[0] + _NOTHING if match[0] == "@" else _NOTHING + match[0], text)
