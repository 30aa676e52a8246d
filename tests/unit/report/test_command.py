"""`tokgate report` as a person calls it: what it says, and its exit codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tokgate.store.runs import RunRecord


def report(runs: Path, *args: str) -> tuple[int, str]:
    command = (str(Path(sys.executable).with_name("tokgate")), "report", *args, "--runs", str(runs))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def test_run_is_shown_in_the_terminal(runs: Path, slow_night: RunRecord) -> None:
    """A run is shown in the terminal, and ends with its state."""
    code, said = report(runs, "--latest")
    assert code == 0, "showing a regression is no failure"
    assert f"run {slow_night.run_id}" in said
    assert said.splitlines()[-1] == "▼ regressed: 2 of 12 figures got worse and 1 claim contradicted."
    assert report(runs, slow_night.run_id[:12]) == (0, said)


def test_both_files_are_written_and_named(runs: Path, tmp_path: Path) -> None:
    html, markdown = tmp_path / "a.html", tmp_path / "b" / "a.md"
    code, said = report(runs, "--latest", "--html", str(html), "--markdown", str(markdown))
    assert (code, said.splitlines()[1:]) == (0, [f"written: {html}", f"written: {markdown}"])
    assert html.read_text().startswith("<!doctype html>")
    assert markdown.read_text().startswith("<!-- tokgate: regressed -->")


@pytest.mark.parametrize("args", [(), ("x", "--latest")])
def test_which_run_must_be_said_in_one_way(runs: Path, args: tuple[str, ...]) -> None:
    code, said = report(runs, *args)
    assert (code, "pass either a run ID or --latest" in said) == (2, True)


def test_unreadable_and_unwritable_files_are_errors(runs: Path, tmp_path: Path) -> None:
    """A run that cannot be read, or a file that cannot be written, is an error with a remedy."""
    code, said = report(runs, "1999")
    assert (code, "no such run: '1999' (newest: " in said) == (3, True)
    assert "); pass a folder, a run ID, the start of one, or `latest`" in said
    newer = tmp_path / "newer" / "run.json"
    newer.parent.mkdir()
    newer.write_text('{"schema": 99}')
    code, said = report(tmp_path, "--latest")
    assert (code, "has schema 99" in said) == (3, True)
    code, said = report(runs, "--latest", "--html", "/proc/report.html")
    assert (code, "cannot be written" in said) == (3, True)
