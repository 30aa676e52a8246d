"""Reports as files: where they go, and what is said when they cannot."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from tokgate._exceptions import RecordError
from tokgate.machine.lease import Holder
from tokgate.report.badge import State
from tokgate.report.write import is_running, publish, write_report
from tokgate.store.runs import RunRecord

Put = Callable[[Path, RunRecord], Path]


def test_links_lead_from_the_report_to_the_run(runs: Path, slow_night: RunRecord, tmp_path: Path) -> None:
    file = tmp_path / "deep" / "report.html"
    said = write_report(runs / slow_night.run_id, runs, html=file)
    assert said.state is State.REGRESSED
    page = file.read_text()
    way = next(part for part in page.split('href="') if part.startswith("./../") and "run.json" in part)
    assert (file.parent / way.split('"')[0]).resolve() == (runs / slow_night.run_id / "run.json").resolve()


def test_report_is_published_beside_the_record(box: object, slow_night: RunRecord, put: Put, tmp_path: Path) -> None:
    """The report is published beside the record, with a link to the newest."""
    link = tmp_path / "report"
    for name in ("one", "two"):
        folder = put(tmp_path / name, slow_night)
        publish(folder, link)
        assert (link / "report.html").resolve() == (folder / "report.html").resolve()
    assert (link / "report.md").read_text().startswith("<!-- tokgate: regressed -->")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "report", "two"]
    assert 'href="./run.json"' in (link / "report.html").read_text()


def test_other_folder_is_not_replaced(slow_night: RunRecord, put: Put, tmp_path: Path) -> None:
    """A folder that tokgate did not create is not replaced."""
    (tmp_path / "report").mkdir()
    with pytest.raises(RecordError, match="report: exists and is not a symbolic link"):
        publish(put(tmp_path / "runs", slow_night), tmp_path / "report")


def test_full_disk_loses_only_the_page(
    slow_night: RunRecord,
    put: Put,
    tmp_path: Path,
    no_file_above: Callable[[int], AbstractContextManager[None]],
) -> None:
    """A full disk loses the page, but not the Markdown that the issue needs."""
    folder = put(tmp_path / "runs", slow_night)
    with (
        no_file_above(1_000_000),
        pytest.raises(RecordError, match=r"report.html: cannot be written .*free some space"),
    ):
        publish(folder, tmp_path / "report")
    assert (tmp_path / "report" / "report.md").read_text().startswith("<!-- tokgate: regressed -->")
    assert {path.name for path in folder.iterdir()} == {"run.json", "report.md"}, "no half a page is left"


def test_a_damaged_run_of_the_history_is_named(slow_night: RunRecord, put: Put, tmp_path: Path) -> None:
    folder = put(tmp_path / "runs", slow_night)
    (tmp_path / "runs" / "cut").mkdir()
    (tmp_path / "runs" / "cut" / "run.json").write_bytes(b"")
    write_report(folder, tmp_path / "runs", markdown=tmp_path / "report.md")
    assert "cut/run.json: is empty" in (tmp_path / "report.md").read_text()


def test_a_run_is_in_progress_while_its_process_lives(slow_night: RunRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    """The holder of the lease runs the command of the record since before it began."""
    record = msgspec.structs.replace(slow_night, ended=None, started=datetime.now(UTC).isoformat())
    holder = Holder(pid=1, user="u", since="2026-01-01T00:00:00+00:00", describe=" ".join(record.command))
    for held_by, running in (
        (holder, True),
        (None, False),
        (msgspec.structs.replace(holder, pid=os.getpid()), False),
        (msgspec.structs.replace(holder, describe="another command"), False),
        (msgspec.structs.replace(holder, since="2999-01-01T00:00:00+00:00"), False),
    ):
        monkeypatch.setattr("tokgate.report.write.find_holder", lambda held_by=held_by: held_by)
        assert is_running(record) is running
    monkeypatch.setattr("tokgate.report.write.find_holder", lambda: holder)
    assert not is_running(slow_night)
