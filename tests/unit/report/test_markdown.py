"""The report as Markdown: what a renderer makes of it, and what hostile text cannot make of it."""

from __future__ import annotations

import html
import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from msgspec.structs import replace

from tokgate.report.markdown import escape, to_markdown
from tokgate.report.view import build_view
from tokgate.store.history import read_history
from tokgate.store.runs import RunRecord

RENDERER = MarkdownIt("gfm-like", {"linkify": False})


def test_it_says_state_title_and_figures(runs: Path, slow_night: RunRecord) -> None:
    text = to_markdown(build_view(slow_night, read_history(runs)))
    assert text.startswith("<!-- tokgate: regressed -->\n## 2 of 12 figures got worse")
    assert "**Changed since the previous run:** kernel: 6.17 → 6.18" in text
    shown = RENDERER.render(text)
    assert shown.count("<table>") == 4
    assert "▼ regressed" in shown
    assert "refuted, against the claim" in shown
    assert len(text) < 65_536, "more than the body of an issue may hold"


def test_a_large_run_still_fits_the_body_of_an_issue(slow_night: RunRecord) -> None:
    many = slow_night.verdicts * 40
    text = to_markdown(build_view(replace(slow_night, verdicts=many)))
    assert len(text) < 65_536
    assert "see the HTML report for the others" in text


@given(
    st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["C", "Z"], include_characters=" "), max_size=40)
)
def test_escaped_text_is_shown_as_it_is(text: str) -> None:
    shown = RENDERER.renderInline(escape(f"x{text}"))
    assert not re.search(r"<(?!/?br)", shown), shown
    plain = html.unescape(shown).replace("\N{ZERO WIDTH SPACE}", "")
    assert plain == " ".join(f"x{text}".replace("\N{ZERO WIDTH SPACE}", "").split())


def test_names_call_nobody_and_link_nowhere() -> None:
    escaped = escape("@someone see https://evil.example www.evil.example [x](javascript:1) <b> | `a` #12")
    assert "@someone" not in escaped
    assert "://" not in escaped
    assert "www.evil" not in escaped
    assert "<b>" not in RENDERER.renderInline(escaped)
    assert "<a " not in RENDERER.renderInline(escaped)


def test_reasons_follow_their_table(slow_night: RunRecord) -> None:
    text = to_markdown(build_view(slow_night)).replace("\\", "")
    for row in build_view(slow_night).rows:
        assert (row.reason in text) == (row.badge.tone in ("bad", "unsure"))
