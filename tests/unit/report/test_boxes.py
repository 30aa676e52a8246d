"""A run over many boxes: the worst box speaks, all stand side by side, and each has its own parts."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from tokgate.judge.cell import CellKey
from tokgate.machine.fingerprint import Fact, Fingerprint, Weight
from tokgate.report.badge import State
from tokgate.report.boxes import compare_boxes, format_summaries
from tokgate.report.headline import make_headline
from tokgate.report.html import to_html
from tokgate.report.markdown import to_markdown
from tokgate.report.view import build_view
from tokgate.store.runs import Box, RunRecord

replace = msgspec.structs.replace
NEAR, FAR = "unix:///run/near.sock", "ssh://far"


@pytest.fixture(scope="module")
def whole(box: Any, slow_night: RunRecord) -> RunRecord:
    """A night that passed on one box, and on another the one with a regression."""
    far = replace(
        slow_night,
        fingerprint=Fingerprint({**slow_night.fingerprint.facts, "gpu": Fact("gfx1100", Weight.MUST_MATCH)}),
    )
    near: RunRecord = box.night(3)
    near = replace(near, hypotheses=(), verdicts=tuple(one for one in near.verdicts if one.kind == "gate"))
    return replace(
        near,
        fingerprint=Fingerprint({}),
        conditions={},
        measurements=(),
        verdicts=(),
        not_checked=(),
        boxes=(
            Box(host=NEAR, place="/runs/near/run.json", record=near),
            Box(host=FAR, place="ssh://far: tokgate/runs/far/run.json", record=far),
        ),
    )


def test_the_worst_box_speaks(whole: RunRecord) -> None:
    said = make_headline(whole)
    assert said.state is State.REGRESSED
    assert said.title == "On 1 of 2 boxes: 2 of 12 figures got worse and 1 claim contradicted."
    assert said.findings[0].startswith(f"{FAR}: llamacpp-q4 chat-c1 decode_tps")


def test_a_box_that_was_lost_is_no_passed_run(whole: RunRecord) -> None:
    sound = replace(whole, boxes=whole.boxes[:1], not_checked=("ssh://far: it was lost",))
    said = make_headline(sound)
    assert said.state is State.BROKEN
    assert said.findings[0] == "ssh://far: it was lost"


def test_boxes_stand_side_by_side_beside_the_first(whole: RunRecord) -> None:
    shown = compare_boxes(whole)
    assert shown is not None
    assert shown.hosts == (NEAR, FAR)
    lines = {line.cell: line.figures for line in shown.lines}
    first, other = lines[CellKey("llamacpp-q4", "chat-c1", "decode_tps")]
    assert first is not None
    assert other is not None
    assert other.badge is not None
    assert (first.ratio, first.badge) == ("", None)
    assert float(other.ratio.split()[1]) == pytest.approx(0.85, abs=0.03)
    assert other.badge.word == "slower"
    ((host, notes),) = shown.notes
    assert host == FAR
    assert f"{NEAR} and {FAR} were measured on different machines" in notes
    assert any("kernel: 6.17 → 6.18" in note for note in notes)


def test_one_box_is_beside_nothing(whole: RunRecord) -> None:
    assert compare_boxes(replace(whole, boxes=whole.boxes[:1])) is None


def test_the_terminal_shows_each_box_and_then_all(whole: RunRecord) -> None:
    text = format_summaries(replace(whole, not_checked=("ssh://x: it was lost",)), width=120, color=False)
    places = [
        text.index(part) for part in (f"{NEAR}\nrun ", f"{FAR}\nrun ", "2 boxes side by side", "not checked: ssh://x")
    ]
    assert places == sorted(places)


def test_the_page_has_each_box_under_ids_of_its_own(whole: RunRecord) -> None:
    page = to_html(build_view(whole))
    body = page[: page.index('<script type="application/json"')]
    ids = re.findall(r'\bid="([^"]+)"', body)
    assert len(ids) == len(set(ids))
    assert {"boxes", "box1-box", "box1-verdicts", "box2-machine"} <= set(ids)
    assert set(re.findall(r'href="#([^"]+)"', body)) <= set(ids)
    drawn = set(re.findall(r'data-chart="([^"]+)"', body))
    assert {key.split("-")[0] for key in drawn} == {"box1", "box2"}
    run = whole.boxes[0].record.run_id
    assert f'href="./{run}/logs/' in body, "an engine of this machine has its logs in the run's folder"
    assert f'href="./{whole.boxes[1].record.run_id}/' not in body, "what lies elsewhere is not linked"


def test_markdown_compares_the_boxes_and_shows_each(whole: RunRecord) -> None:
    text = to_markdown(build_view(whole))
    assert text.startswith("<!-- tokgate: regressed -->\n")
    assert re.search(r"^\| llamacpp-q4 chat-c1 decode\\_tps \| .* \| .* × 0\.8\d+ .*▼ slower \|$", text, re.M)
    assert text.count("### What needs a look") >= 1
    assert re.search(r"^## ▼ ssh:.*far: 2 of 12 figures got worse", text, re.M)
