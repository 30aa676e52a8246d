"""Terminal, HTML, Markdown and the reason, which is also the JUnit property, show the same figures."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

from tokgate.config.words import format_percent
from tokgate.judge.verdict import Outcome
from tokgate.report.html import to_html
from tokgate.report.markdown import to_markdown
from tokgate.report.rows import VERDICT_COLUMNS
from tokgate.report.terminal import format_summary
from tokgate.report.view import Report, build_view
from tokgate.store.history import read_history
from tokgate.store.runs import RunRecord


@pytest.fixture(scope="module")
def report(runs: Path, slow_night: RunRecord) -> Report:
    return build_view(slow_night, read_history(runs))


def plain(text: str) -> str:
    """Without tags, Markdown escapes and line breaks."""
    text = html.unescape(re.sub(r"<[^>]*>", " ", text))
    return " ".join(re.sub(r"\\([_~<>|*])", r"\1", text).replace("\N{ZERO WIDTH SPACE}", "").split())


def test_figures_agree_to_the_character(report: Report, slow_night: RunRecord) -> None:
    """Of a regression and an inconclusive verdict: values, ratio, interval and percentage."""
    shown = {
        "terminal": plain(format_summary(slow_night, width=160, color=False)),
        "HTML": plain(to_html(report).partition('<script type="application/json"')[0]),
        "Markdown": plain(to_markdown(report)),
    }
    for outcome in (Outcome.REGRESSED, Outcome.INCONCLUSIVE):
        row = next(row for row in report.rows if row.badge.word == outcome)
        texts = {column.title: column.text(row) for column in VERDICT_COLUMNS}
        figures = [texts[title] for title in ("now", "baseline", "ratio", "interval")]
        if outcome is Outcome.REGRESSED:
            figures.append(texts["change"].removesuffix(" slower"))
        else:
            figures.append(texts["can detect"])
        for figure in figures:
            assert figure in row.reason
            assert all(figure in text for text in shown.values()), figure
        assert all(row.reason in text for text in shown.values())


def test_percentages_have_one_form(report: Report, slow_night: RunRecord) -> None:
    texts = (format_summary(slow_night, width=160, color=False), to_markdown(report))
    assert not [found for text in texts for found in re.findall(r"\d%", text)]
    assert format_percent(0.057) == "5.7 %"


def test_a_cell_has_one_value_in_a_report(runs: Path, slow_night: RunRecord) -> None:
    """The trend ends with the value of the verdict, whatever launches came after it."""
    report = build_view(slow_night, read_history(runs))
    values = {(row.server, row.cell): row.now for row in report.rows}
    assert {key: values[key] for key in values} == {
        (trend.series.server, f"{trend.series.workload} {trend.series.metric}"): trend.last for trend in report.trends
    }
