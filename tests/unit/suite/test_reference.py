"""What a cell is compared with: its baseline, or its nights where there is none."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tokgate.config.quiet import QuietLimits
from tokgate.drive.sample import Sample
from tokgate.judge.cell import CellKey
from tokgate.judge.verdict import Outcome, Verdict
from tokgate.machine.fingerprint import Fact, Fingerprint, Weight
from tokgate.measure.measurement import Answers, Measurement, Problem
from tokgate.store.baselines import Baseline, BaselineCell, write_baseline
from tokgate.store.runs import RunRecord, RunWriter
from tokgate.suite.past import Past
from tokgate.suite.reference import References

BOX = Fingerprint({"gpu": Fact("gfx1151", Weight.MUST_MATCH)})
KEY = CellKey("s", "chat", "decode_tps")


@pytest.fixture(scope="module")
def measurement(bare_measurement: Measurement) -> Measurement:
    """Started in 3 s, and timed for 4 s with one request of 1.5 s."""
    return msgspec.structs.replace(
        bare_measurement,
        facts=msgspec.structs.replace(bare_measurement.facts, startup_s=3.0),
        host=msgspec.structs.replace(bare_measurement.host, duration_s=4.0),
        samples=(Sample(index=0, prompt_id="p", asked_tokens=8, sent_s=0.0, end_s=1.5),),
    )


class Nights:
    """Runs of one cell below a folder, one a night of January."""

    def __init__(self, out: Path, measurement: Measurement) -> None:
        self.out, self._measurement = out, measurement

    def add(self, day: int, *figures: float, outcome: Outcome = Outcome.PASS, valid: bool = True) -> None:
        launches = tuple(
            msgspec.structs.replace(
                self._measurement,
                launch=number,
                gated={"decode_tps": figure},
                valid=valid,
                problems=() if valid else (Problem(rule="host_busy", detail="a compiler ran"),),
            )
            for number, figure in enumerate(figures, start=1)
        )
        verdict = Verdict(kind="gate", server="s", workload="chat", metric="decode_tps", outcome=outcome)
        record = self.record(day)
        RunWriter(
            self.out / record.run_id,
            msgspec.structs.replace(record, measurements=launches, verdicts=(verdict,)),
        )

    @staticmethod
    def record(day: int, *, requests: int = 4, box: Fingerprint = BOX) -> RunRecord:
        return RunRecord(
            run_id=f"202601{day:02}T000000Z-abcdef",
            started=f"2026-01-{day:02}T00:00:00.000+00:00",
            tokgate="0",
            command=("pytest",),
            profile="mine",
            baselines="box",
            fingerprint=box,
            conditions={"chat": {"requests": str(requests)}},
        )

    def references(self, record: RunRecord | None = None) -> References:
        tonight = record or self.record(31)
        return References(self.out / "baselines", tonight, Past(self.out, tonight))


@pytest.fixture
def nights(tmp_path: Path, measurement: Measurement) -> Nights:
    return Nights(tmp_path, measurement)


def test_ten_nights_stand_in_for_a_baseline(nights: Nights) -> None:
    for day in range(1, 11):
        nights.add(day, 4.0 + day, 9.0 * (4.0 + day))
    reference, _ = nights.references().of(KEY)
    assert reference is not None
    assert reference.kind == "nights"
    assert reference.values == pytest.approx([3.0 * (4.0 + day) for day in range(1, 11)]), "geometric means"
    assert reference.label == "the last 10 nights, 2026-01-01 to 2026-01-10"


def test_only_the_last_twenty_count(nights: Nights) -> None:
    for day in range(1, 26):
        nights.add(day, float(day))
    reference, _ = nights.references().of(KEY)
    assert reference is not None
    assert reference.values == pytest.approx(range(6, 26))


def test_nights_that_do_not_count(nights: Nights) -> None:
    """Regressed and invalid nights do not count, nor do those of other machines and conditions."""
    for day in range(1, 12):
        nights.add(day, 10.0)
    nights.add(12, 5.0, outcome=Outcome.REGRESSED)
    nights.add(13, 7.0, valid=False)
    reference, _ = nights.references().of(KEY)
    assert reference is not None
    assert reference.values == pytest.approx([10.0] * 11)
    for other in (
        nights.record(31, requests=8),
        nights.record(31, box=Fingerprint({"gpu": Fact("gfx942", Weight.MUST_MATCH)})),
    ):
        none, gap = nights.references(other).of(KEY)
        assert none is None
        assert "0 of the 10 nights it takes" in gap


def test_nine_nights_are_too_few(nights: Nights) -> None:
    """Nine nights are too few, and tonight does not count."""
    for day in (*range(1, 10), 31):
        nights.add(day, 10.0)
    reference, gap = nights.references().of(KEY)
    assert reference is None
    assert "tokgate baseline accept 20260131T000000Z-abcdef --server s" in gap
    assert "9 of the 10 nights" in gap


def test_a_baseline_says_how_it_was_accepted(nights: Nights) -> None:
    """Quiet limits of its own, and the reason why it was accepted against objections."""
    baseline = Baseline(
        server="s",
        provenance="measured",
        source="run 1",
        date=datetime.date(2026, 1, 1),
        quiet=QuietLimits(others_cores=0.5),
        forced="a new kernel",
        cells={"chat": BaselineCell(metrics={"decode_tps": (10.0, 11.0)})},
    )
    write_baseline(nights.out / "baselines" / "s.yaml", baseline)
    reference, _ = nights.references().of(KEY)
    assert reference is not None
    how = "quiet limits: others_cores 0.5, accepted by force: a new kernel"
    assert reference.label == f"baseline of 2026-01-01 (run 1, 2 launches, {how})"


def test_a_baseline_of_nights_since_its_date(nights: Nights) -> None:
    """A baseline may ask to be compared with the nights since its date."""
    for day in range(1, 25):
        nights.add(day, float(day))
    asked = Baseline(
        server="s",
        provenance="nights",
        source="its own runs",
        date=datetime.date(2026, 1, 12),
        cells={},
    )
    write_baseline(nights.out / "baselines" / "s.yaml", asked)
    reference, _ = nights.references().of(KEY)
    assert reference is not None
    assert reference.values == pytest.approx(range(12, 25))
    later = msgspec.structs.replace(asked, date=datetime.date(2026, 1, 20))
    write_baseline(nights.out / "baselines" / "s.yaml", later)
    reference, gap = nights.references().of(KEY)
    assert reference is None
    assert gap == "it is compared with its nights since 2026-01-20, and there are 5 of the 10 nights it takes"


def test_an_accepted_run_comes_before_the_nights(nights: Nights) -> None:
    for day in range(1, 25):
        nights.add(day, 10.0)
    accepted = Baseline(
        server="s",
        provenance="measured",
        source="run x",
        date=datetime.date(2026, 1, 2),
        cells={"chat": BaselineCell(metrics={"decode_tps": (11.0, 12.0)})},
    )
    write_baseline(nights.out / "baselines" / "s.yaml", accepted)
    reference, _ = nights.references().of(KEY)
    assert reference is not None
    assert (reference.kind, reference.values) == ("launches", (11.0, 12.0))


def test_without_a_folder_of_runs_there_are_no_nights(tmp_path: Path, measurement: Measurement) -> None:
    nights = Nights(tmp_path / "none", measurement)
    reference, _ = nights.references().of(KEY)
    assert reference is None


ATTACHED = {"model": "m", "engine": "llama.cpp", "engine_version": "b1", "url": "http://127.0.0.1:8000"}


def accept(nights: Nights, **changes: Any) -> None:
    """A stored baseline of server `s`."""
    baseline = Baseline(
        server="s",
        provenance="measured",
        source="run x",
        date=datetime.date(2026, 1, 2),
        fingerprint=BOX,
        identity={"model": "m", "weights": "m-q4.gguf"},
        canary=Answers(model="m", engine="llama.cpp", prompts_sha256="abc", texts={"capital": "Paris"}),
        cells={
            "chat": BaselineCell(conditions=nights.record(1).conditions["chat"], metrics={"decode_tps": (9.0, 9.1)})
        },
    )
    write_baseline(nights.out / "baselines" / "s.yaml", msgspec.structs.replace(baseline, **changes))


@pytest.mark.parametrize(
    ("baseline", "now", "reason"),
    [
        ({}, {"model": "m", "weights": "m-q4.gguf"}, ""),
        ({}, {"model": "n"}, "the baseline belongs to another server (model: m → n); `tokgate baseline accept"),
        ({}, {"model": "m", "weights": "m-q8.gguf"}, "another server (weights: m-q4.gguf → m-q8.gguf)"),
        ({}, ATTACHED, "another server (weights: m-q4.gguf → unknown, engine: unknown → llama.cpp"),
        ({"identity": {}}, {"model": "n"}, ""),  # of an earlier version, which did not record it
        ({"identity": {}}, ATTACHED, "another server (model: unknown → m"),
        ({"identity": ATTACHED}, ATTACHED, ""),
        ({"identity": ATTACHED}, ATTACHED | {"model": "n"}, "(model: m → n)"),
        ({"identity": ATTACHED}, ATTACHED | {"engine": "vllm"}, "(engine: llama.cpp → vllm)"),
        ({"identity": ATTACHED}, ATTACHED | {"engine_version": "b2"}, "(engine_version: b1 → b2)"),
        ({"identity": ATTACHED}, ATTACHED | {"url": "http://far:1"}, "(url: http://127.0.0.1:8000 → http://far:1)"),
        ({"server": "slow"}, {"model": "m"}, "its file states the baseline of slow"),
    ],
)
def test_no_server_hides_behind_another(
    nights: Nights, baseline: dict[str, Any], now: dict[str, str], reason: str
) -> None:
    """Neither its figures nor its answers are compared with those of another server."""
    accept(nights, **baseline)
    references = nights.references()
    reference, gap = references.of(KEY, now)
    assert (reference is not None) is (not reason)
    assert reason in gap
    assert (references.answers("s", now) is not None) is (not reason)


@pytest.mark.parametrize(
    "change",
    [
        {"requests": "8"},
        {"max_tokens": "16"},
        {"prompts_sha256": "other"},
        {"load": '{"kind":"closed","concurrency":8}'},
        {"seed": "1"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_no_workload_hides_behind_another(nights: Nights, change: dict[str, str]) -> None:
    conditions = {"requests": "4", "max_tokens": "64", "prompts_sha256": "abc", "load": "", "seed": "0"}
    cell = BaselineCell(conditions=conditions, metrics={"decode_tps": (9.0, 9.1)})
    accept(nights, cells={"chat": cell})
    for now, comparable in ((conditions, True), (conditions | change, False)):
        record = msgspec.structs.replace(nights.record(31), conditions={"chat": now})
        reference, gap = nights.references(record).of(KEY, {"model": "m"})
        assert (reference is not None) is comparable
        assert ("the workload has changed" in gap) is not comparable


def test_no_machine_hides_behind_another(nights: Nights) -> None:
    accept(nights)
    other = nights.record(31, box=Fingerprint({"gpu": Fact("gfx942", Weight.MUST_MATCH)}))
    reference, gap = nights.references(other).of(KEY, {"model": "m"})
    assert reference is None
    assert "another machine (gpu: gfx1151 → gfx942)" in gap


def test_nights_of_another_server_do_not_count(nights: Nights) -> None:
    """Nor do their times and verdicts, for a server that is known before the run."""
    for day in range(1, 12):
        nights.add(day, 10.0)
    same, other = {"model": "m"}, {"model": "n"}
    for identity, counts in ((same, True), (other, False), (ATTACHED, False)):
        record = msgspec.structs.replace(nights.record(31), identities={"s": identity})
        past = Past(nights.out, record)
        assert bool(past.points(KEY)) is counts
        assert bool(past.costs) is counts
        assert bool(past.last.cells) is counts
        reference, _ = nights.references().of(KEY, identity)
        assert (reference is not None) is counts
