"""The page, as text: complete without scripts, and its policy names its own scripts and no others."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from tokgate.report.charts import draw_trends
from tokgate.report.html import to_html
from tokgate.report.view import build_view
from tokgate.store.history import read_history
from tokgate.store.runs import RunRecord


@pytest.fixture(scope="module")
def page(runs: Path, slow_night: RunRecord) -> str:
    return to_html(build_view(slow_night, read_history(runs)))


class Outline(HTMLParser):
    """Tags with their attributes, and ids."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_it_asks_nothing_of_the_network(page: str) -> None:
    for tag, given in Outline(page).tags:
        assert "src" not in given, tag
        assert tag not in ("link", "iframe", "object", "img"), tag
        assert not (given.get("href") or "").startswith(("http", "//")), given
        assert not any(name.startswith("on") for name in given), given


def test_its_policy_allows_exactly_its_own_scripts(page: str) -> None:
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert len(scripts) == 2
    digests = [base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in scripts]
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert re.findall(r"sha256-([^&]*)&#39;", policy[1]) == digests
    assert policy[1].startswith("default-src &#39;none&#39;; script-src ")
    assert "unsafe-eval" not in policy[1]


def test_every_section_can_be_reached_and_read_aloud(page: str) -> None:
    outline = Outline(page).tags
    ids = [given["id"] for _, given in outline if "id" in given]
    assert len(ids) == len(set(ids))
    for tag, given in outline:
        if tag == "a" and (given.get("href") or "").startswith("#"):
            assert (given["href"] or "")[1:] in ids
        for name in ("aria-labelledby",):
            assert given.get(name, ids[0]) in ids
        if given.get("role") == "img":
            assert given.get("aria-label") or given.get("aria-labelledby")
    regions = [given for _, given in outline if given.get("class") == "scroll"]
    assert regions
    assert all(given.get("tabindex") == "0" for given in regions), "tables that scroll can be reached by keyboard"


def test_empty_run_is_a_small_page(slow_night: RunRecord) -> None:
    """An empty run is a small page without scripts."""
    bare = msgspec.structs.replace(slow_night, measurements=(), verdicts=(), hypotheses=())
    page = to_html(build_view(bare))
    assert len(page) < 50_000
    assert "<script" not in page
    assert "Nothing was measured." in page


def test_flags_are_on_the_axis_of_their_points(runs: Path, slow_night: RunRecord) -> None:
    """A run that starts at 01:00:59 has its point and its flag at the same place."""
    for chart in draw_trends(build_view(slow_night, read_history(runs)).trends):
        points = {x for line in chart.data for x in line["x"]}
        assert {flag["x"] for flag in chart.layout["annotations"]} <= points
        assert {line["x0"] for line in chart.layout["shapes"]} <= points
