"""`tokgate compare` as a person calls it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from tokgate._exceptions import RecordError
from tokgate.cli import app
from tokgate.machine.fingerprint import Fact, Weight
from tokgate.measure.measurement import Measurement
from tokgate.store.runs import RunRecord

Put = Callable[[Path, RunRecord], Path]


def call(*args: str, width: int = 160) -> Result:
    return CliRunner().invoke(app, ["compare", *args], env={"COLUMNS": str(width)})


def changed(record: RunRecord, change: Callable[[Measurement], Measurement | None]) -> RunRecord:
    kept = tuple(one for one in map(change, record.measurements) if one is not None)
    return msgspec.structs.replace(record, measurements=kept)


def row(said: str, server: str, workload: str, metric: str) -> str:
    """The line of one cell: its server and workload stand above, once."""
    at = ("", "")
    for line in said.splitlines():
        words = line.split()
        if words == [server]:
            at = (server, "")
        elif line.startswith("  ") and words and words[0] in ("chat-c1", "depth-c1"):
            at = (at[0], words[0])
        if at == (server, workload) and metric in words:
            return line
    raise AssertionError(f"no row of {server} {workload} {metric} in\n{said}")


def test_slower_server_is_shown_with_other_changes(runs: Path, slow_night: RunRecord) -> None:
    """The slower server is shown with the other changes."""
    before = "20260311"
    done = call(before, "latest", "--runs", str(runs))
    assert done.exit_code == 0
    slow = row(done.output, "llamacpp-q4", "chat-c1", "decode_tps")
    assert slow.split()[-1] == "slower"
    assert "0.8" in slow
    same = row(done.output, "vllm-fp16", "depth-c1", "decode_tps")
    assert "alike ±" in same
    assert f"B  run {slow_night.run_id} · gfx1151 · 2026-03-12 01:00 UTC" in done.output
    assert "differs: kernel: 6.17 → 6.18" in done.output
    assert "for all 12 comparisons together" in done.output


def test_what_is_not_compared_is_said(box: object, runs: Path, tmp_path: Path, put: Put) -> None:
    night: RunRecord = box.night(1)  # type: ignore[attr-defined]

    def broken(one: Measurement) -> Measurement | None:
        if one.server == "vllm-fp16":
            return None
        return msgspec.structs.replace(one, valid=one.launch == 3)

    other = msgspec.structs.replace(
        changed(night, broken),
        run_id="other",
        conditions=night.conditions | {"depth-c1": {"requests": "8", "seed": "1"}},
        fingerprint=night.fingerprint.merged({"gpu": Fact("gfx1100", Weight.MUST_MATCH)}),
    )
    done = call(str(put(tmp_path, night)), str(put(tmp_path, other)))
    assert done.exit_code == 0
    assert "depth-c1, whose conditions differ: requests: 4 → 8, seed: unknown → 1" in done.output
    assert "only in A: vllm-fp16 × chat-c1, vllm-fp16 × depth-c1" in done.output
    assert "left out of llamacpp-q4 × chat-c1: 0 invalid in A, 2 invalid in B" in done.output
    assert "A and B were measured on different machines" in done.output
    assert "differs: gpu: gfx1151 → gfx1100" in done.output
    assert "too few launches: 3 of A, 1 of B" in done.output
    assert "Welch" not in done.output


def test_servers_that_differ_say_in_what(box: object, tmp_path: Path, put: Put) -> None:
    night: RunRecord = box.night(1)  # type: ignore[attr-defined]

    def updated(one: Measurement) -> Measurement:
        told = {"engine_version": "1.1\x1b[2J\nPASS", "args": ("serve", "--port", "9", "-fa")}
        return msgspec.structs.replace(one, facts=msgspec.structs.replace(one.facts, **told))

    b = msgspec.structs.replace(changed(night, updated), run_id="b")
    done = call(str(put(tmp_path, night)), str(put(tmp_path, b)), width=240)
    assert r"differs: vllm-fp16: engine_version: 1.0 → 1.1\x1b[2J\nPASS" in done.output
    assert "differs: llamacpp-q4: args: unknown → serve --port -fa" in done.output
    assert "\x1b" not in done.output


def test_a_run_beside_itself_shows_nothing(runs: Path) -> None:
    done = call("latest", "latest", "--runs", str(runs))
    assert done.output.count(" alike ±") == 12
    assert "no recorded fact of machine or servers differs" in done.output


def test_arms_of_experiments_are_not_compared(box: object, tmp_path: Path, put: Put) -> None:
    night: RunRecord = box.night(1)  # type: ignore[attr-defined]
    arms = changed(night, lambda one: msgspec.structs.replace(one, server=f"claim/{one.server}"))
    folder = str(put(tmp_path, arms))
    assert "nothing to compare: no cell was measured by both" in call(folder, folder).output


@pytest.mark.parametrize("width", [80, 100])
def test_a_narrow_terminal_loses_no_figure(runs: Path, width: int) -> None:
    done = call("20260311", "latest", "--runs", str(runs), width=width)
    assert max(map(len, done.output.splitlines())) <= width
    assert "…" not in done.output
    assert done.output.split().count("slower") == 2
    assert done.output.split().count("alike") == 9
    assert done.output.count("? cannot tell") == 1
    assert "vllm-fp16 × chat-c1 decode_tps: a difference of 10 % is not" in " ".join(done.output.split())


def test_bad_input_is_told_with_a_remedy(runs: Path) -> None:
    assert call("latest", "--runs", str(runs)).exit_code == 2
    done = call("latest", "1999", "--runs", str(runs))
    assert isinstance(done.exception, RecordError)
    message = str(done.exception)
    assert "no such run: '1999' (newest: 20260312T010000Z-00000b, " in message
    assert message.endswith("); pass a folder, a run ID, the start of one, or `latest`")
    assert "It only describes" in call("--help").output
