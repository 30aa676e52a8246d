"""History reads what the records say, whatever happened to them or to its index."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec
import pytest

from tokgate._exceptions import RecordError
from tokgate.config.words import format_figure
from tokgate.drive.sample import Sample
from tokgate.judge.verdict import Outcome, Verdict
from tokgate.machine.fingerprint import Fact, Fingerprint, Weight, compute_fingerprint_id, find_differences
from tokgate.measure.measurement import Measurement
from tokgate.store.history import Cost, list_unreadable, read_costs, read_history
from tokgate.store.index import INDEX
from tokgate.store.runs import RECORD, Box, RunRecord, RunWriter, read_run

BOX = Fingerprint({"gpu": Fact("gfx1151", Weight.MUST_MATCH), "kernel": Fact("6.17", Weight.MAY_DIFFER)})


@pytest.fixture(scope="module")
def measurement(bare_measurement: Measurement) -> Measurement:
    """Started in 3 s, and timed for 4 s with one request of 1.5 s."""
    return msgspec.structs.replace(
        bare_measurement,
        gated={"decode_tps": 10.0, "ttft_s": 0.1},
        facts=msgspec.structs.replace(
            bare_measurement.facts,
            startup_s=3.0,
            image_digest="img@sha256:1",
            args=("serve", "--port", "8001"),
        ),
        host=msgspec.structs.replace(bare_measurement.host, duration_s=4.0),
        samples=(Sample(index=0, prompt_id="p", asked_tokens=8, sent_s=0.0, end_s=1.5),),
    )


def record(day: int, *measurements: Measurement, fingerprint: Fingerprint = BOX) -> RunRecord:
    return RunRecord(
        run_id=f"202601{day:02}T000000Z-abcdef",
        started=f"2026-01-{day:02}T00:00:00.000+00:00",
        tokgate="0",
        command=("pytest",),
        profile="mine",
        baselines="box",
        fingerprint=fingerprint,
        conditions={"chat": {"requests": "4"}, "code": {"requests": "4"}},
        measurements=measurements,
        verdicts=(Verdict(kind="gate", server="s", workload="chat", metric="decode_tps", outcome=Outcome.REGRESSED),),
    )


def write(out: Path, one: RunRecord) -> None:
    RunWriter(out / one.run_id, one)


def launched(measurement: Measurement, *figures: float, **changes: object) -> tuple[Measurement, ...]:
    return tuple(
        msgspec.structs.replace(measurement, launch=n + 1, gated={"decode_tps": figure}, **changes)
        for n, figure in enumerate(figures)
    )


def test_points(tmp_path: Path, measurement: Measurement) -> None:
    """A point has the values of one run."""
    write(tmp_path, record(1, *launched(measurement, 5.0, 20.0)))
    (series,) = read_history(tmp_path)
    (point,) = series.points
    assert (series.server, series.workload, series.metric) == ("s", "chat", "decode_tps")
    assert series.fingerprint == compute_fingerprint_id(BOX)
    assert point.value == pytest.approx(10.0)
    assert point.launches == (5.0, 20.0)
    assert (point.valid, point.outcome, point.provenance) == (True, Outcome.REGRESSED, "measured")
    assert (point.run_id, point.started) == ("20260101T000000Z-abcdef", "2026-01-01T00:00:00.000+00:00")


def test_unknown_metrics_are_kept(tmp_path: Path, measurement: Measurement) -> None:
    """A record with metrics that this version does not know is read, and its values are shown with their units."""
    write(tmp_path, record(1, msgspec.structs.replace(measurement, gated={"encode_tps": 5.0, "warm_s": 0.25})))
    series = read_history(tmp_path)
    texts = [format_figure(one.metric, one.points[0].value) for one in series]
    assert [one.metric for one in series] == ["encode_tps", "warm_s"]
    assert texts == ["5.000 tok/s", "250.0 ms"]


def test_boxes_of_a_run(tmp_path: Path, measurement: Measurement) -> None:
    """Each box of a run is a run of its own machine."""
    other = Fingerprint({**BOX.facts, "gpu": Fact("gfx1100", Weight.MUST_MATCH)})
    records = (
        record(1, *launched(measurement, 5.0)),
        msgspec.structs.replace(record(2, *launched(measurement, 7.0), fingerprint=other), run_id="202601-elsewhere"),
    )
    boxes = tuple(Box(host=one.run_id, place="there", record=one) for one in records)
    whole = msgspec.structs.replace(record(3), fingerprint=Fingerprint({}), conditions={}, boxes=boxes)
    write(tmp_path, whole)
    write(tmp_path, records[0])  # kept by itself too, on the box that is this machine
    found = {one.fingerprint: [point.launches for point in one.points] for one in read_history(tmp_path)}
    assert found == {compute_fingerprint_id(BOX): [(5.0,)], compute_fingerprint_id(other): [(7.0,)]}
    assert list_unreadable(tmp_path) == ()


def test_order_of_points(tmp_path: Path, measurement: Measurement) -> None:
    """Points are in the order of time; invalid ones are marked."""
    for day in (3, 1, 2):
        write(tmp_path, record(day, *launched(measurement, float(day), valid=day != 2)))
    (series,) = read_history(tmp_path)
    seen = [(point.launches, point.valid) for point in series.points]
    assert seen == [((1.0,), True), ((2.0,), False), ((3.0,), True)]


def test_filters(tmp_path: Path, measurement: Measurement) -> None:
    other = Fingerprint({**BOX.facts, "gpu": Fact("gfx1100", Weight.MUST_MATCH)})
    write(tmp_path, record(1, measurement, msgspec.structs.replace(measurement, workload="code")))
    write(tmp_path, record(2, msgspec.structs.replace(measurement, server="t")))
    write(tmp_path, record(3, measurement, fingerprint=other))

    def keys(**wanted: str) -> set[tuple[str, str, str, int]]:
        found = read_history(tmp_path, **wanted)
        return {(one.server, one.workload, one.metric, len(one.points)) for one in found}

    assert len(keys()) == 6  # the other machine's have the same names
    assert keys(server="t") == {("t", "chat", "decode_tps", 1), ("t", "chat", "ttft_s", 1)}
    assert keys(workload="code", metric="ttft_s") == {("s", "code", "ttft_s", 1)}
    assert keys(since="2026-01-03") == keys(fingerprint=compute_fingerprint_id(other))
    assert keys(server="nobody") == set()


def test_changed_workload_is_another_series(tmp_path: Path, measurement: Measurement) -> None:
    write(tmp_path, record(1, measurement))
    write(tmp_path, msgspec.structs.replace(record(2, measurement), conditions={"chat": {"requests": "8"}}))
    found = read_history(tmp_path, metric="ttft_s")
    assert len({series.conditions for series in found}) == len(found) == 2


def test_arms_have_no_history(tmp_path: Path, measurement: Measurement) -> None:
    write(tmp_path, record(1, msgspec.structs.replace(measurement, server="shm/a")))
    assert read_history(tmp_path) == ()


def test_changes_between_points(tmp_path: Path, measurement: Measurement) -> None:
    """Two points show which facts changed between them."""
    facts = measurement.facts
    newer = Fingerprint({**BOX.facts, "kernel": Fact("6.18", Weight.MAY_DIFFER)})
    pulled = msgspec.structs.replace(facts, image_digest="img@sha256:2", args=("serve", "--port", "9009"))
    write(tmp_path, record(1, measurement))
    write(tmp_path, record(2, msgspec.structs.replace(measurement, facts=pulled), fingerprint=newer))
    (series,) = read_history(tmp_path, metric="ttft_s")
    told = [str(one) for one in find_differences(*(point.fingerprint for point in series.points))]
    assert told == ["kernel: 6.17 → 6.18", "image_digest: img@sha256:1 → img@sha256:2"]


def test_costs_of_the_last_launches(tmp_path: Path, measurement: Measurement) -> None:
    slow = msgspec.structs.replace(measurement, facts=msgspec.structs.replace(measurement.facts, startup_s=60.0))
    write(tmp_path, record(1, *(slow for _ in range(30))))
    write(tmp_path, record(2, *(measurement for _ in range(20))))
    assert read_costs(tmp_path) == {("s", "chat"): Cost(startup_s=3.0, pass_s=7.0)}  # 4 + 2 x 1.5
    assert read_costs(tmp_path, fingerprint="another") == {}


def test_unreadable_records_are_listed(tmp_path: Path, measurement: Measurement) -> None:
    """All other records are read."""
    for day in range(1, 6):
        write(tmp_path, record(day, measurement))
    raws = {1: b"", 2: (tmp_path / record(2).run_id / RECORD).read_bytes()[:-200], 3: b'{"schema": 99}'}
    for day, raw in raws.items():
        (tmp_path / record(day).run_id / RECORD).write_bytes(raw)
    (series, _) = read_history(tmp_path)
    assert [point.started[:10] for point in series.points] == ["2026-01-04", "2026-01-05"]
    told = list_unreadable(tmp_path)
    parts = (
        "is empty: the run was interrupted",
        "is not a valid run record",
        "has schema 99.*update tokgate",
    )
    for text, day, part in zip(told, (1, 2, 3), parts, strict=True):
        with pytest.raises(RecordError, match=part) as caught:
            read_run(tmp_path / record(day).run_id)
        assert text == str(caught.value)


def test_changed_records_update_the_history(tmp_path: Path, measurement: Measurement) -> None:
    """So do removed ones."""
    write(tmp_path, record(1, *launched(measurement, 1.0)))
    assert read_history(tmp_path)[0].points[0].launches == (1.0,)
    write(tmp_path, record(1, *launched(measurement, 1.0, 1.0)))
    assert read_history(tmp_path)[0].points[0].launches == (1.0, 1.0)
    shutil.rmtree(tmp_path / record(1).run_id)
    assert read_history(tmp_path) == ()


@pytest.mark.parametrize("damage", ["removed", "garbage", "truncated", "of another version", "out of reach"])
def test_lost_index_is_rebuilt(tmp_path: Path, measurement: Measurement, damage: str) -> None:
    write(tmp_path, record(1, measurement))
    before = read_history(tmp_path)
    index = tmp_path / INDEX
    assert index.is_file()
    if damage == "removed":
        index.unlink()
    elif damage == "garbage":
        index.write_bytes(b"no database at all " * 100)
    elif damage == "truncated":
        index.write_bytes(index.read_bytes()[:5000])
    elif damage == "of another version":
        with sqlite3.connect(index) as connection:
            connection.execute("PRAGMA user_version = 1")
            connection.execute("DROP TABLE cell")
        connection.close()
    else:
        index.unlink()
        index.mkdir()  # what even root cannot open
    assert read_history(tmp_path) == before


def test_full_disk_keeps_the_history(
    tmp_path: Path, measurement: Measurement, no_file_above: Callable[[int], AbstractContextManager[None]]
) -> None:
    """On a full disk the index is kept in memory."""
    for day in range(1, 29):
        write(tmp_path, record(day, measurement))
    with no_file_above(8192):
        full = read_history(tmp_path)
    assert len(full[0].points) == 28
    assert read_history(tmp_path) == full


def test_damaged_index(tmp_path: Path, measurement: Measurement) -> None:
    """The error says what to do."""
    for day in range(1, 29):
        write(tmp_path, record(day, measurement))
    read_history(tmp_path)
    with sqlite3.connect(tmp_path / INDEX) as index:
        index.execute("DROP TABLE fingerprint")
    index.close()
    with pytest.raises(RecordError, match=r"history.sqlite: is damaged: .*; delete it: it will be rebuilt"):
        read_history(tmp_path)


def test_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="No such file or directory; run the suite first, or pass --runs"):
        read_history(tmp_path / "runs")
    assert read_history(tmp_path) == ()


_BRING_AND_READ = """
import sys
from pathlib import Path
from tokgate.store.history import read_history

staged, out = Path(sys.argv[1]), Path(sys.argv[2])
for name in sys.argv[3:]:
    (staged / name).rename(out / name)
    read_history(out)
"""


def test_concurrent_writers_and_readers(tmp_path: Path, measurement: Measurement) -> None:
    """They lose nothing."""
    staged, out = tmp_path / "staged", tmp_path / "runs"
    out.mkdir()
    for day in range(1, 26):
        write(staged, record(day, measurement))
    names = [record(day).run_id for day in range(1, 26)]
    command = [sys.executable, "-c", _BRING_AND_READ, str(staged), str(out)]
    both = [subprocess.Popen([*command, *half]) for half in (names[::2], names[1::2])]
    assert [process.wait(60) for process in both] == [0, 0]
    (series,) = read_history(out, metric="ttft_s")
    assert [point.run_id for point in series.points] == names
