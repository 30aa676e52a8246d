"""A record from elsewhere, whatever it contains: shown, or refused with the name of its file; and it writes nowhere."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tokgate._exceptions import BaselineRefused, RecordError, TokgateError
from tokgate._printable import MOST_CHARACTERS
from tokgate.report.boxes import format_summaries
from tokgate.report.changes import date_changes
from tokgate.report.compare import format_comparison
from tokgate.report.history import describe_changes, format_history
from tokgate.report.html import to_html
from tokgate.report.markdown import to_markdown
from tokgate.report.view import build_view
from tokgate.store.baselines import make_candidates
from tokgate.store.evidence import read_last_verdicts
from tokgate.store.history import list_unreadable, read_costs, read_history
from tokgate.store.hypotheses import make_evidence
from tokgate.store.index import INDEX
from tokgate.store.runs import RECORD, Box, RunRecord, read_run

HOSTILE = "\x1b[31mred \u202egnp \x9b2J\n[bold]"
VALUES: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8), st.lists(st.integers(), max_size=2), st.dictionaries(st.text(max_size=3), st.text(max_size=3)),
    st.sampled_from(["", HOSTILE, "../../x", "/etc/x", "2026-02-30", "2026-01-01T00:00:00", "9999-12-31T23:59:59.999-23:59",
                     "0001-01-01T00:00:00+23:59", 0, -1, 1e308, 5e-324, {}, [], [[]]]),
)  # fmt: skip


@pytest.fixture(scope="module")
def night(slow_night: RunRecord) -> RunRecord:
    """A smaller record: two launches with few samples."""
    kept = tuple(
        msgspec.structs.replace(launch, samples=launch.samples[:1])
        for launch in slow_night.measurements
        if launch.launch < 3
    )
    return msgspec.structs.replace(slow_night, measurements=kept)


def show(out: Path, folder: Path) -> list[str]:
    """Everything that the commands make of a record; raises only what they turn into a message."""
    texts = []

    def attempt(make: Callable[[], str]) -> None:
        try:
            texts.append(make())
        except TokgateError as error:
            texts.append(str(error))

    def attempt_all(record: RunRecord) -> None:
        attempt(lambda: format_summaries(record, width=120, color=False))
        attempt(lambda: to_markdown(build_view(record)))
        attempt(lambda: format_comparison(record, record, width=120, color=False))
        attempt(lambda: "\n".join(map(str, make_candidates([record], out / "baselines", servers=()))))
        attempt(lambda: str(make_evidence(record, "batch-c16")))

    try:
        attempt_all(read_run(folder))
    except RecordError as error:
        texts.append(str(error))
    history = read_history(out)
    texts.append(format_history(history, width=120, color=False))
    texts += [line for series in history for line in describe_changes(series, date_changes(series))]
    read_costs(out)
    read_last_verdicts(out, fingerprint="x")
    return [*texts, *list_unreadable(out)]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=VALUES, data=st.data())
def test_any_change_of_a_record(tmp_path: Path, night: RunRecord, value: Any, data: st.DataObject) -> None:
    """Any value at the place of any other, or a key that is missing."""
    document = json.loads(msgspec.json.encode(night))
    container = document
    while True:
        key = data.draw(
            st.sampled_from(list(container) if isinstance(container, dict) else list(range(len(container))))
        )
        inner = container[key]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.integers(0, 9)) == 0:
            break
        container = inner
    if data.draw(st.integers(0, 9)) == 0:
        del container[key]
    else:
        container[key] = value
    folder = tmp_path / night.run_id
    folder.mkdir(exist_ok=True)
    (folder / RECORD).write_text(json.dumps(document), encoding="utf-8", errors="replace")
    for text in show(tmp_path, folder):
        assert all(line.isprintable() for line in text.splitlines())


def test_names_are_shown_and_never_obeyed(slow_night: RunRecord, tmp_path: Path) -> None:
    """Also in the page and its charts; a name of 200 kB is in the record only."""
    name = f"{HOSTILE}{'x' * 200_000}"
    hostile = json.loads(msgspec.json.encode(slow_night).replace(b"llamacpp-q4", json.dumps(name)[1:-1].encode()))
    record = msgspec.convert(hostile, RunRecord)
    assert record.measurements[-1].server == name
    view = build_view(record)
    page, markdown = to_html(view), to_markdown(view)
    for text in (page.partition("<script")[0], markdown, format_summaries(record, width=120, color=False)):
        assert all(line.replace("\N{ZERO WIDTH SPACE}", "").isprintable() for line in text.splitlines())
        assert "x" * 2 * MOST_CHARACTERS not in text
    assert "\u202e" not in page
    assert "x" * 2 * MOST_CHARACTERS not in page


@pytest.mark.parametrize(
    ("baselines", "server"),
    [
        ("../../x", "s"), ("/etc", "s"), ("..", "s"), ("a/../../x", "s"), ("", "s"), ("link", "s"), ("loop", "s"),
        ("a\0b", "s"), ("x" * 5000, "s"), ("box", "../s"), ("box", ".."), ("box", "a\nb"), ("box", "x" * 5000), ("box", "link"),
    ],
)  # fmt: skip
def test_a_record_writes_only_below_baselines(
    tmp_path: Path, slow_night: RunRecord, baselines: str, server: str
) -> None:
    folder = tmp_path / "project" / "baselines"
    (folder / "box").mkdir(parents=True)
    (folder / "link").symlink_to(tmp_path)
    (folder / "loop").symlink_to("loop")
    (folder / "box" / "link.yaml").symlink_to(tmp_path / "elsewhere.yaml")
    launches = tuple(msgspec.structs.replace(launch, server=server) for launch in slow_night.measurements)
    record = msgspec.structs.replace(slow_night, baselines=baselines, measurements=launches)
    with pytest.raises(BaselineRefused, match="which is not a file below"):
        make_candidates([record], folder, servers=[server])


def test_a_record_writes_below_a_linked_folder(tmp_path: Path, slow_night: RunRecord) -> None:
    """The folder of baselines itself may be a link."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "baselines").symlink_to(tmp_path / "kept")
    candidates = make_candidates([slow_night], tmp_path / "baselines", servers=["llamacpp-q4"])
    assert [*candidates] == [tmp_path / "baselines" / "gfx1151" / "llamacpp-q4.yaml"]


def test_one_nested_record_does_not_end_the_history(runs: Path, tmp_path: Path) -> None:
    """It is listed, and all others are read."""
    for folder in runs.iterdir():
        if (folder / RECORD).is_file():
            (tmp_path / folder.name).mkdir()
            (tmp_path / folder.name / RECORD).write_bytes((folder / RECORD).read_bytes())
    bad = tmp_path / "20990101T000000Z-nested" / RECORD
    bad.parent.mkdir()
    bad.write_text('{"schema": 1, "x": ' + "[" * 100_000)
    assert read_history(tmp_path) == read_history(runs)
    (problem,) = list_unreadable(tmp_path)
    assert problem.startswith(f"{bad}: is not a valid run record")


@pytest.mark.parametrize("summary", [b"{}", b"[" * 5000, b"\xff", 5, "[1, 2]", b'["a","b"]'])
def test_hostile_index(
    tmp_path: Path, night: RunRecord, put: Callable[[Path, RunRecord], Path], summary: object
) -> None:
    """The error names the file and says what to do."""
    put(tmp_path, night)
    read_history(tmp_path)
    with sqlite3.connect(tmp_path / INDEX) as index:
        index.execute("UPDATE cell SET summary = ?", (summary,))
        index.execute("UPDATE verdict SET summary = ?", (summary,))
    index.close()
    for reader in (read_history, read_costs):
        with pytest.raises(RecordError, match=r"history.sqlite: is damaged: .*; delete it"):
            reader(tmp_path)


def test_boxes_of_a_hostile_record(slow_night: RunRecord) -> None:
    box = Box(host=HOSTILE, place=HOSTILE, record=msgspec.structs.replace(slow_night, run_id=HOSTILE))
    record = msgspec.structs.replace(slow_night, measurements=(), verdicts=(), boxes=(box, box), not_checked=(HOSTILE,))
    for text in (format_summaries(record, width=120, color=False), to_markdown(build_view(record))):
        assert all(line.replace("\N{ZERO WIDTH SPACE}", "").isprintable() for line in text.splitlines())
