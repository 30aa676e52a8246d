"""Run records and baselines: whole or absent, readable or named, accepted only when they may be."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec
import pytest

from tokgate._exceptions import BaselineRefused, RecordError, SpecError, UsageError
from tokgate.config.quiet import QuietLimits
from tokgate.judge.coverage import Missing
from tokgate.judge.verdict import Outcome, Verdict
from tokgate.machine.fingerprint import Fact, Fingerprint, Weight
from tokgate.measure.measurement import Answers, Bias, Canary, Measurement, Problem
from tokgate.report.baseline import describe_acceptance
from tokgate.store import runs
from tokgate.store.baselines import (
    Candidate,
    explain_incomparable,
    make_baseline,
    make_candidates,
    read_baseline,
    write_baseline,
)

BOX = Fingerprint({"gpu": Fact("gfx1151", Weight.MUST_MATCH), "kernel": Fact("6.18", Weight.MAY_DIFFER)})
CONDITIONS = {"chat": {"requests": "4", "prompts_sha256": "abc"}}
RECORD = runs.RunRecord(
    run_id="20260101T000000Z-abcdef",
    started="2026-01-01T00:00:00.000+00:00",
    ended="2026-01-01T01:00:00.000+00:00",
    tokgate="0",
    command=("pytest",),
    profile="mine",
    baselines="box",
    fingerprint=BOX,
    conditions=CONDITIONS,
)


ANSWERS = Answers(
    model="m",
    engine="llama.cpp",
    prompts_sha256="abc",
    texts={"capital": "Paris, as\never: São \x00 `x`", "week": "666", "sky": "yes", "bees": ""},
)


@pytest.fixture(scope="module")
def measurement(bare_measurement: Measurement) -> Measurement:
    """With a bias and answers, as a run records them."""
    return msgspec.structs.replace(
        bare_measurement,
        metrics={"decode_tps": 10.0},
        bias=Bias(streams=1, requests=4, ttft_s=1e-4, itl_s=-1e-6, decode_tps=1e-5, output_tps=0.0),
        canary=Canary(answers=ANSWERS, agreement=None, entropy_bits=4.2, repeating=0, right=1, known=4),
    )


def test_baseline_keeps_the_answers(tmp_path: Path, measurement: Measurement) -> None:
    """A baseline keeps the answers of a sound model."""
    record = msgspec.structs.replace(RECORD, measurements=(measurement,))
    path = tmp_path / "s.yaml"
    write_baseline(path, make_baseline(record, "s"))
    read = read_baseline(path)
    assert read is not None
    assert read.canary == ANSWERS


def test_records_round_trip(tmp_path: Path, measurement: Measurement) -> None:
    """A record can be read back after each step."""
    writer = runs.RunWriter(tmp_path, msgspec.structs.replace(RECORD, ended=None))
    writer.add_measurement(measurement)
    assert runs.read_run(tmp_path).measurements == (measurement,)
    assert runs.read_run(tmp_path).ended is None
    writer.end()
    assert runs.read_run(tmp_path) == writer.record
    assert [path.name for path in tmp_path.iterdir()] == [runs.RECORD]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "is empty: the run was interrupted"),
        (b'{"schema": 1, "run_id": "x"', "is not a valid run record"),
        (b'{"schema": 1}', "is not a valid run record: .*missing required field"),
        (b'{"schema": 99}', "has schema 99, but this version of tokgate reads up to 1; update tokgate"),
        (b"[]", "is not a valid run record"),
        (b'{"schema": 1, "run_id": "\xdc"}', "is not a valid run record: .*can.t decode byte 0xdc"),
    ],
)
def test_damaged_records_are_rejected(tmp_path: Path, raw: bytes, message: str) -> None:
    file = tmp_path / runs.RECORD
    file.write_bytes(raw)
    with pytest.raises(RecordError, match=message) as caught:
        runs.read_run(tmp_path)
    assert caught.value.path == file


def test_full_disk_keeps_the_old_record(
    tmp_path: Path, measurement: Measurement, no_file_above: Callable[[int], AbstractContextManager[None]]
) -> None:
    writer = runs.RunWriter(tmp_path, RECORD)
    before = (tmp_path / runs.RECORD).read_bytes()
    with no_file_above(len(before)), pytest.raises(RecordError, match="File too large; free some space"):
        writer.add_measurement(measurement)
    assert (tmp_path / runs.RECORD).read_bytes() == before
    writer.end()  # there is room again, and nothing measured was lost
    assert runs.read_run(tmp_path).measurements == (measurement,)


def test_runs_are_found_by_id(tmp_path: Path) -> None:
    """A run is found by the start of its id; an ambiguous one lists the matches."""
    for name in ("20260102T000000Z-bb", "20260101T000000Z-aa"):  # the second waited for the first
        runs.RunWriter(tmp_path / name, RECORD)
    assert runs.find_run(tmp_path, "latest").name == "20260101T000000Z-aa"
    assert runs.find_run(tmp_path, "20260101").name == "20260101T000000Z-aa"
    with pytest.raises(RecordError, match="'2026' is ambiguous; it matches: 20260101T000000Z-aa, 20260102T000000Z-bb"):
        runs.find_run(tmp_path, "2026")
    newest = r"\(newest: 20260102T000000Z-bb, 20260101T000000Z-aa\); pass a folder"
    with pytest.raises(RecordError, match=rf"no such run: 'nothing' {newest}"):
        runs.find_run(tmp_path, "nothing")


@pytest.mark.parametrize("name", ["latest", "20260101"])
def test_no_run_says_what_to_do_next(tmp_path: Path, name: str) -> None:
    with pytest.raises(RecordError, match=r"no run in this folder\. Next: `pytest -m perf`, or pass --runs DIR"):
        runs.find_run(tmp_path, name)
    with pytest.raises(RecordError, match=r"gone: no such folder\. Next: `pytest -m perf`, or pass --runs DIR"):
        runs.find_run(tmp_path / "gone", name)


def test_run_on_several_boxes(tmp_path: Path) -> None:
    """It is read as the records of all boxes, or of one of them."""
    ids = ("20260101T000000Z-aa-near", "20260101T000000Z-aa-far")
    boxes = tuple(runs.Box(host=one, place="there", record=msgspec.structs.replace(RECORD, run_id=one)) for one in ids)
    whole = msgspec.structs.replace(RECORD, run_id="20260101T000000Z-aa", boxes=boxes)
    runs.RunWriter(tmp_path / whole.run_id, whole)
    assert [one.run_id for one in runs.read_runs(tmp_path, "latest")] == list(ids)
    assert [one.run_id for one in runs.read_runs(tmp_path, ids[1])] == [ids[1]]
    assert runs.read_one_run(tmp_path, ids[0]).run_id == ids[0]
    with pytest.raises(UsageError, match=r"has 2 boxes; pass the run ID of one of them: .*-near or .*-far"):
        runs.read_one_run(tmp_path, "20260101")
    with pytest.raises(RecordError, match="no such run: "):
        runs.read_runs(tmp_path, "20260101T000000Z-aa-nobody")


def test_baselines_round_trip(tmp_path: Path, measurement: Measurement) -> None:
    record = msgspec.structs.replace(RECORD, measurements=(measurement, measurement))
    baseline = make_baseline(record, "s")
    assert baseline.cells["chat"].metrics == {"decode_tps": (10.0, 10.0)}
    assert baseline.date == datetime.date(2026, 1, 1)
    path = tmp_path / "box" / "s.yaml"
    assert read_baseline(path) is None
    write_baseline(path, baseline)
    assert read_baseline(path) == baseline


def test_a_baseline_keeps_quiet_limits(tmp_path: Path, measurement: Measurement) -> None:
    """Those that its profile sets; its values are compared all the same."""
    record = msgspec.structs.replace(RECORD, measurements=(measurement,))
    assert make_baseline(record, "s").quiet is None
    loose = QuietLimits(others_cores=0.5)
    baseline = make_baseline(msgspec.structs.replace(record, quiet=loose), "s")
    write_baseline(tmp_path / "s.yaml", baseline)
    stored = read_baseline(tmp_path / "s.yaml")
    assert stored is not None
    assert stored.quiet == loose
    assert explain_incomparable(stored, "chat", conditions=CONDITIONS["chat"], fingerprint=BOX) is None


def test_typo_in_a_baseline(tmp_path: Path) -> None:
    """The error has the line."""
    path = tmp_path / "s.yaml"
    path.write_text("server: s\nprovenance: reprted\nsource: me\ndate: 2026-01-01\ncells: {}\n")
    with pytest.raises(SpecError, match="did you mean `reported`") as caught:
        read_baseline(path)
    assert caught.value.line == 2


def regressed() -> Verdict:
    return Verdict(
        kind="gate",
        server="s",
        workload="chat",
        metric="decode_tps",
        outcome=Outcome.REGRESSED,
        reason="0.90",
    )


def candidate(record: runs.RunRecord, folder: Path) -> Candidate:
    (made,) = make_candidates([record], folder, servers=["s"]).values()
    return made


def launches(measurement: Measurement, *speeds: float) -> tuple[Measurement, ...]:
    return tuple(
        msgspec.structs.replace(measurement, launch=at, gated={"decode_tps": speed})
        for at, speed in enumerate(speeds, start=1)
    )


def test_a_good_run_is_accepted_without_a_reason(tmp_path: Path, measurement: Measurement) -> None:
    """Also one that is faster than the baseline, or slower by less than the tolerance."""
    path = tmp_path / "box" / "s.yaml"
    for speed in (10.0, 9.8, 20.0):
        record = msgspec.structs.replace(RECORD, measurements=launches(measurement, speed, speed))
        made = candidate(record, tmp_path)
        assert made.objections == ()
        assert made.accept(None) == made.accept("not needed") == made.new
        write_baseline(path, made.new)


def test_what_a_run_did_not_measure_is_kept(tmp_path: Path, measurement: Measurement) -> None:
    """With its source and date, through any number of partial runs; values of another machine are not."""
    conditions = dict.fromkeys(("chat", "code"), CONDITIONS["chat"])
    both = [
        msgspec.structs.replace(run, workload=name) for name in conditions for run in launches(measurement, 10.0, 10.1)
    ]
    first = msgspec.structs.replace(RECORD, conditions=conditions, measurements=tuple(both))
    path = tmp_path / "box" / "s.yaml"
    write_baseline(path, candidate(first, tmp_path).accept(None))
    for day in (2, 3):
        later = msgspec.structs.replace(
            RECORD,
            run_id=f"2026010{day}T000000Z-abcdef",
            started=f"2026-01-0{day}T00:00:00.000+00:00",
            measurements=launches(measurement, 10.2, 10.3),
        )
        made = candidate(later, tmp_path)
        write_baseline(path, made.accept(None))
        stored = read_baseline(path)
        assert stored == made.new
        assert stored is not None
        assert (stored.source, stored.cells["chat"].source) == (f"run {later.run_id}", None)
        assert (stored.cells["code"].source, str(stored.cells["code"].date)) == (f"run {RECORD.run_id}", "2026-01-01")
        assert stored.cells["code"].metrics == {"decode_tps": (10.0, 10.1)}
    text = describe_acceptance(made)
    assert f"code: kept from run {RECORD.run_id} of 2026-01-01, this run did not measure it" in text
    other = Fingerprint({"gpu": Fact("gfx1100", Weight.MUST_MATCH)})
    elsewhere = msgspec.structs.replace(RECORD, fingerprint=other, measurements=launches(measurement, 10.0, 10.1))
    assert list(candidate(elsewhere, tmp_path).new.cells) == ["chat"]


def test_objections_need_a_reason(tmp_path: Path, measurement: Measurement) -> None:
    """All of them are listed; the reason is kept."""
    invalid = msgspec.structs.replace(
        measurement, valid=False, problems=(Problem(rule="host_busy", detail="someone else"),)
    )
    unsure = msgspec.structs.replace(regressed(), metric="ttft_s", outcome=Outcome.INCONCLUSIVE, reason="too noisy")
    record = msgspec.structs.replace(RECORD, measurements=(invalid,), verdicts=(regressed(), unsure), ended=None)
    made = candidate(record, tmp_path)
    with pytest.raises(BaselineRefused, match="host_busy: someone else") as caught:
        made.accept(None)
    for ground in (
        "chat has one launch",
        "chat decode_tps is regressed: 0.90",
        "chat ttft_s is inconclusive: too noisy",
        "the run did not finish",
        "--force --reason",
    ):
        assert ground in str(caught.value)
    assert made.accept("I know").forced == "I know"


def test_a_run_that_looks_worse_needs_a_reason(tmp_path: Path, measurement: Measurement) -> None:
    """Without a verdict on it, too; another machine or other conditions are not compared."""
    good = msgspec.structs.replace(RECORD, measurements=launches(measurement, 10.0, 10.0))
    write_baseline(tmp_path / "box" / "s.yaml", make_baseline(good, "s"))
    slow = msgspec.structs.replace(RECORD, measurements=launches(measurement, 7.0, 6.8))
    assert candidate(slow, tmp_path).objections == (
        "chat decode_tps looks worse than the baseline by 31 %: 10.00 tok/s → 6.899 tok/s",
    )
    elsewhere = Fingerprint({"gpu": Fact("gfx942", Weight.MUST_MATCH)})
    assert candidate(msgspec.structs.replace(slow, fingerprint=elsewhere), tmp_path).objections == ()
    other = {"chat": CONDITIONS["chat"] | {"requests": "8"}}
    assert candidate(msgspec.structs.replace(slow, conditions=other), tmp_path).objections == ()


def test_run_without_the_server_is_refused() -> None:
    with pytest.raises(BaselineRefused, match="has no measurement of s"):
        make_baseline(RECORD, "s")


def test_incomparable_baselines(measurement: Measurement) -> None:
    """The reason says why a cell cannot be compared."""
    baseline = make_baseline(msgspec.structs.replace(RECORD, measurements=(measurement,)), "s")
    newer = Fingerprint({**BOX.facts, "kernel": Fact("6.19", Weight.MAY_DIFFER)})
    other = Fingerprint({**BOX.facts, "gpu": Fact("gfx1100", Weight.MUST_MATCH)})
    same = CONDITIONS["chat"]
    assert explain_incomparable(baseline, "chat", conditions=same, fingerprint=newer) is None
    told = [
        explain_incomparable(baseline, "code", conditions=same, fingerprint=BOX),
        explain_incomparable(baseline, "chat", conditions=same | {"requests": "8"}, fingerprint=BOX),
        explain_incomparable(baseline, "chat", conditions=same, fingerprint=other),
        explain_incomparable(
            msgspec.structs.replace(baseline, provenance="estimate"), "chat", conditions=same, fingerprint=BOX
        ),
    ]
    for text, part in zip(
        told,
        ("does not contain workload code", "requests: 4 → 8", "gpu: gfx1151 → gfx1100", "is an estimate"),
        strict=True,
    ):
        assert text is not None
        assert part in text


def test_a_prevented_verdict_needs_a_reason(tmp_path: Path, measurement: Measurement) -> None:
    """Of this server; what the user left out does not, since its figures are compared here."""
    prevented = Missing(name="s × chat decode_tps", server="s", why="the run stopped before it", deselected=False)
    good = msgspec.structs.replace(RECORD, measurements=launches(measurement, 10.0, 10.1))
    for missing, objections in (
        (prevented, ("no verdict on s × chat decode_tps: the run stopped before it",)),
        (msgspec.structs.replace(prevented, deselected=True), ()),
        (msgspec.structs.replace(prevented, server="t"), ()),
    ):
        record = msgspec.structs.replace(good, missing=(missing,))
        assert candidate(record, tmp_path).objections == objections


def test_another_server_replaces_a_baseline(tmp_path: Path, measurement: Measurement) -> None:
    """Its figures are not compared with the old ones, and none of those are kept."""
    both = [
        msgspec.structs.replace(run, workload=name) for name in ("chat", "code") for run in launches(measurement, 9, 9)
    ]
    conditions = dict.fromkeys(("chat", "code"), CONDITIONS["chat"])
    old = msgspec.structs.replace(RECORD, conditions=conditions, measurements=tuple(both))
    write_baseline(tmp_path / "box" / "s.yaml", make_baseline(old, "s"))
    other = msgspec.structs.replace(measurement, facts=msgspec.structs.replace(measurement.facts, model="n"))
    made = candidate(msgspec.structs.replace(RECORD, measurements=launches(other, 1.0, 1.0)), tmp_path)
    assert made.objections == ()
    assert list(made.new.cells) == ["chat"]
    text = describe_acceptance(made)
    assert "not compared with the old one: the baseline belongs to another server (model: m → n)" in text
    assert ", was" not in text
