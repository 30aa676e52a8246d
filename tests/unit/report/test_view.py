"""The view of a run: everything a report shows, as text and positions."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.drive.sample import ServerTimings
from tokgate.judge.cell import CaseKey
from tokgate.judge.verdict import Outcome
from tokgate.measure.measurement import Problem
from tokgate.report.badge import State, make_badge
from tokgate.report.host import DRAWN
from tokgate.report.rows import HYPOTHESIS_COLUMNS, VERDICT_COLUMNS, make_experiment_rows, make_verdict_rows
from tokgate.report.table import Column
from tokgate.report.trend import SHOWN
from tokgate.report.trust import TRUST_COLUMNS
from tokgate.report.view import Gap, Report, build_view, make_link
from tokgate.store.history import read_history
from tokgate.store.runs import RunRecord

replace = msgspec.structs.replace
R = TypeVar("R")


@pytest.fixture(scope="module")
def shown(runs: Path, slow_night: RunRecord) -> Report:
    return build_view(slow_night, read_history(runs))


def texts(row: R, columns: Sequence[Column[R]]) -> dict[str, str]:
    """What a table shows of `row`, by column."""
    return {column.title: column.text(row) for column in columns}


def gaps(report: Report) -> dict[str, Gap]:
    return {gap.what: gap for gap in report.not_checked}


def test_servers_with_a_regression_come_first(shown: Report) -> None:
    assert [row.server for row in shown.rows] == ["llamacpp-q4"] * 6 + ["vllm-fp16"] * 6
    worst = shown.rows[0]
    assert (worst.badge.word, worst.badge.symbol) == ("regressed", "▼")
    assert texts(worst, VERDICT_COLUMNS)["change"].endswith("% slower")
    assert texts(worst, VERDICT_COLUMNS)["uses"].startswith("173")
    assert worst.bar is not None
    assert worst.bar.low < worst.bar.at < worst.bar.high < worst.bar.marks[0] == 50


def test_outcomes_differ_without_color() -> None:
    """Outcomes and states differ without color."""
    looks = [make_badge(one) for one in Outcome]
    assert len({(one.symbol, one.word) for one in looks}) == len(Outcome)
    assert len({make_badge(one).symbol for one in State}) == len(State)


@given(ratio=st.floats(1e-6, 1e6), width=st.floats(1.0, 1e3))
def test_bars_stay_in_their_box(slow_night: RunRecord, ratio: float, width: float) -> None:
    one = replace(slow_night.verdicts[0], ratio=ratio, ci_low=ratio / width, ci_high=ratio * width)
    (row,) = make_verdict_rows(replace(slow_night, verdicts=(one,)))
    assert row.bar is not None
    assert 0 <= row.bar.low <= row.bar.at <= row.bar.high <= 100


def test_contradicted_claims_come_first(slow_night: RunRecord) -> None:
    """Claims have their bounds, and contradicted ones come first."""
    told = make_experiment_rows(slow_night)
    assert [one.name for one in told] == ["shm-size", "batch-c16", "shm-tiny", "awq-fp16"]
    shm, batch, tiny, awq = told
    assert shm.badge.word == "refuted, against the claim"
    assert f"settle shm-size --run {slow_night.run_id}" in shm.contradiction
    assert shm.bar is not None
    assert batch.bar is not None
    assert shm.bar.high < shm.bar.marks[0] == batch.bar.marks[0] < batch.bar.low
    assert (tiny.badge.word, texts(tiny, HYPOTHESIS_COLUMNS)["claim"]) == (
        "confirmed",
        "arm A does not start: /dev/shm",
    )
    assert (awq.badge.word, awq.reason) == ("open", "not tested in this run")
    assert texts(awq, HYPOTHESIS_COLUMNS)["claim"] == "decode_tps B / A above 2 and below 3"


def test_trends_name_what_changed_between_runs(shown: Report, slow_night: RunRecord) -> None:
    assert len(shown.trends) == 12
    slow = next(
        one
        for one in shown.trends
        if (one.series.server, one.series.workload, one.series.metric) == ("llamacpp-q4", "chat-c1", "decode_tps")
    )
    assert (slow.total, len(slow.series.points), slow.series.points[-1].started) == (
        12,
        12,
        slow_night.started,
    )
    assert slow.change.startswith("−1")
    assert [(mark.at[:10], mark.text) for mark in shown.marks] == [("2026-03-12", "kernel: 6.17 → 6.18")]
    assert shown.changed == ("kernel: 6.17 → 6.18",)


def test_change_points_are_dated_and_have_suspects(
    box: Any, put: Callable[[Path, RunRecord], Path], tmp_path: Path
) -> None:
    pytest.importorskip("otava", reason="Apache Otava is not installed")
    nights = [
        box.night(day, speed={"llamacpp-q4": 0.9 if late else 1.0}, kernel="6.18" if late else "6.17")
        for day in range(30)
        for late in [day >= 22]
    ]
    for one in nights:
        put(tmp_path, one)
    quiet = replace(nights[-1], verdicts=(), hypotheses=())
    shown = build_view(quiet, read_history(tmp_path))
    assert shown.headline.state is State.SLIPPED
    assert shown.headline.title.endswith("but its history does: 2 figures, since 2026-03-23.")
    slow = [turn for turn in shown.turns if "decode_tps" in turn.text]
    assert {(turn.at[:10], turn.badge.word, turn.open, turn.suspects) for turn in slow} == {
        ("2026-03-23", "worse", True, ("kernel: 6.17 → 6.18",))
    }
    assert {turn.text.partition(":")[0] for turn in slow} == {
        "llamacpp-q4 chat-c1 decode_tps",
        "llamacpp-q4 depth-c1 decode_tps",
    }


def test_missing_otava_is_reported(runs: Path, slow_night: RunRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Apache Otava, the report says that it did not look for changes."""
    monkeypatch.setitem(sys.modules, "otava.analysis", None)
    shown = build_view(slow_night, read_history(runs))
    assert shown.turns == ()
    assert "tokgate[nightly]" in gaps(shown)["change points of the trends"].why


def test_a_run_without_a_past_is_shown_alone(slow_night: RunRecord) -> None:
    alone = build_view(slow_night)
    assert (alone.trends, alone.changed, alone.marks) == ((), (), ())
    assert alone.rows


def test_the_first_run_of_a_cell_is_no_trend(slow_night: RunRecord, runs: Path) -> None:
    first = tuple(replace(one, points=one.points[-1:]) for one in read_history(runs))
    assert build_view(slow_night, first).trends == ()


def test_a_long_history_is_drawn_in_part(slow_night: RunRecord, runs: Path) -> None:
    series = read_history(runs, server="llamacpp-q4", workload="chat-c1", metric="decode_tps")[0]
    long = replace(series, points=(*[series.points[0]] * 1000, series.points[-1]))
    (trend,) = build_view(slow_night, (long,)).trends
    assert (trend.total, len(trend.series.points)) == (1001, SHOWN)


def test_latency_and_host_are_of_all_launches(shown: Report) -> None:
    first = shown.latencies[0]
    assert (first.case, first.launches) == (CaseKey("vllm-fp16", "chat-c1"), 3)
    assert first.ttft is not None
    assert first.itl is not None
    assert (first.ttft.count, first.itl.count) == (12, 3 * 4 * 47)
    assert list(first.itl.seconds) == sorted(first.itl.seconds)
    assert [track.title for track in shown.host.tracks] == [
        "GPU clock, MHz",
        "GPU power, W",
        "GPU temperature, °C",
        "other programs, cores",
    ]
    assert shown.host.disturbed == ("backup (pid 77), 0.06 cores at most, in 12 of 12 measurements",)
    assert list(shown.host.tracks[0].at_s) == sorted(shown.host.tracks[0].at_s)


def test_repeated_pass_is_shown_with_its_reason(slow_night: RunRecord) -> None:
    """A pass that was repeated is shown with the reason."""
    reason = Problem(rule="host_busy", detail="other processes took 0.52 of 2 cores")
    first, *others = slow_night.measurements
    disturbed = replace(slow_night, measurements=(replace(first, disturbed=(reason,)), *others))
    assert build_view(disturbed, ()).host.disturbed[-1] == (
        f"{first.server} {first.workload}, launch {first.launch} was repeated: host_busy: {reason.detail}"
    )


def test_long_night_is_drawn_with_all_spikes(slow_night: RunRecord) -> None:
    """A long night is drawn in part, and no spike is lost."""
    one = slow_night.measurements[0]
    clock = [2900.0] * 20_000
    clock[12_345] = 400.0
    seconds = tuple(float(at) for at in range(20_000))
    long = replace(one.host, duration_s=2e4, at_s=seconds, timeline={"gpu_sclk_MHz": tuple(clock)})
    (track,) = build_view(replace(slow_night, measurements=(replace(one, host=long),))).host.tracks
    assert len(track.values) <= DRAWN + 1
    assert (track.at_s[track.values.index(400.0)], track.low) == (12_345.0, "400")
    assert track.values[-1] is None


def test_invalid_launches_are_left_out_of_latency(slow_night: RunRecord) -> None:
    """Invalid launches are left out of the latencies, and the report says so."""
    first, *rest = slow_night.measurements
    record = replace(slow_night, measurements=(replace(first, valid=False), *rest))
    cell = build_view(record).latencies[0]
    assert (cell.launches, cell.note) == (2, "without 1 of 3 launches: invalid")


def test_unchecked_items_are_listed(shown: Report) -> None:
    """Everything that was not checked is listed with its reason."""
    found = gaps(shown)
    assert found["the mi300x figures"].why == "this machine has no mi300x"
    assert (found["hypotheses"].items, found["hypotheses"].why) == (
        ("awq-fp16",),
        "declared, but not tested in this run",
    )
    assert (found["host sensors"].items, found["host sensors"].why) == (
        ("governor", "steal"),
        "this machine does not provide them",
    )
    (undecided,) = (gap for what, gap in found.items() if "inconclusive" in what)
    assert len(undecided.items) == sum(row.badge.word == "inconclusive" for row in shown.rows)


def test_trust_is_shown_by_cell(slow_night: RunRecord) -> None:
    """The reasons to trust the values are shown by cell."""
    first, second, *_ = slow_night.measurements
    assert first.bias is not None
    assert first.canary is not None
    told = {row.case: texts(row, TRUST_COLUMNS) for row in build_view(slow_night).trust}
    assert len(told) == 4
    cell = told[CaseKey("vllm-fp16", "chat-c1")]
    assert (cell["trusted"], cell["valid launches"], cell["client vs server"]) == ("✓ yes", "3 of 3", "–")
    assert cell["client bias"].startswith("decode_tps −0.02 %, ttft_s +0.5")
    assert cell["answers"] == "90 % same as stored"

    timed = replace(
        first.samples[0],
        timings=ServerTimings(cache_n=0, prompt_n=300, prompt_ms=200.0, predicted_n=48, predicted_ms=9000.0),
    )
    wild = replace(
        first,
        valid=False,
        problems=tuple(Problem(rule=rule, detail="") for rule in ("client_bias", "canary", "client_server_disagree")),
        bias=replace(first.bias, decode_tps=0.05),
        canary=replace(first.canary, agreement=None, right=0),
        samples=(timed,),
    )
    (row,) = build_view(replace(slow_night, measurements=(wild,))).trust
    cell = texts(row, TRUST_COLUMNS)
    assert (cell["trusted"], cell["valid launches"]) == ("! no", "0 of 1")
    assert cell["client bias"].startswith("! decode_tps +5 %")
    assert cell["answers"] == "! 0 of 1 known ones right, none stored: the model does not answer correctly"
    assert cell["client vs server"].startswith("! +")

    (row,) = build_view(replace(slow_night, measurements=(replace(second, bias=None, canary=None),))).trust
    cell = texts(row, TRUST_COLUMNS)
    assert (cell["client bias"], cell["answers"]) == ("–", "–")


def test_clock_set_back_gives_no_time(slow_night: RunRecord) -> None:
    """With a clock that was set back, no time is shown."""
    back = replace(slow_night, ended="2026-03-11T23:00:00.000+00:00")
    assert build_view(slow_night).took == "took 42m"
    assert build_view(back).took == "ended before it began: the clock was set back"


def test_records_that_cannot_be_read_are_named(slow_night: RunRecord) -> None:
    told = build_view(slow_night, unread=["runs/x/run.json: is empty"]).not_checked
    assert Gap(what="a record in the history", why="runs/x/run.json: is empty") in told


def test_logs_are_linked_beside_the_run(shown: Report, slow_night: RunRecord) -> None:
    assert shown.launches[0].log == "./logs/vllm-fp16-1.log"
    elsewhere = build_view(slow_night, folder="../runs/one")
    assert elsewhere.launches[0].log == "./../runs/one/logs/vllm-fp16-1.log"
    assert ("run.json", "./../runs/one/run.json") in elsewhere.files


@given(st.text(alphabet='/.:javascript%?#&<" \\'), st.text(min_size=1))
def test_links_are_relative_paths(folder: str, name: str) -> None:
    """A link is a relative path, whatever characters the names contain."""
    parts = urlsplit(make_link(folder, name))
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("", "", "", "")
    assert not set(make_link(folder, name)) & set("<>\"'` ")


def test_the_view_is_the_same_wherever_it_is_made(
    runs: Path, slow_night: RunRecord, put: Callable[[Path, RunRecord], Path], tmp_path: Path
) -> None:
    put(tmp_path, slow_night)
    assert build_view(slow_night, read_history(tmp_path)).rows == build_view(slow_night, read_history(runs)).rows
