"""The history as people and programs get it: table, changes with their suspects, exports."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tokgate._exceptions import TokgateError, UsageError
from tokgate.cli import app
from tokgate.report.changes import date_changes
from tokgate.report.history import draw_sparkline
from tokgate.store.history import read_history
from tokgate.store.imports import IMPORT, Imported, write_import
from tokgate.store.runs import RECORD


def night(day: int, value: float, *, kernel: str = "6.17", metric: str = "decode_tps") -> Imported:
    month, of_month = divmod(day, 28)
    return Imported(
        started=f"2026-{month + 1:02}-{of_month + 1:02}T02:00:00.000+00:00",
        server="llama",
        workload="chat",
        metric=metric,
        value=value,
        machine={"gpu": "gfx1151"},
        suspects={"kernel": kernel},
    )


def wobble(day: int) -> float:
    return 1 + 0.005 * (day % 3)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Sixty nights; from the fiftieth on a new kernel makes decoding a tenth slower, and a time a tenth longer."""
    rows = []
    for day in range(60):
        kernel, factor = ("6.18", 0.9) if day >= 50 else ("6.17", 1.0)
        rows.append(night(day, 24 * factor * wobble(day), kernel=kernel))
        rows.append(night(day, 0.1 / factor * wobble(day), kernel=kernel, metric="ttft_s"))
    write_import(tmp_path, rows, source="csv nights.csv")
    return tmp_path


def call(*args: str) -> Result:
    return CliRunner().invoke(app, ["history", *args], env={"COLUMNS": "200"})


def test_open_slowdown_is_dated_and_has_suspects(runs: Path) -> None:
    """An open slowdown is dated to its run, with what changed there."""
    for metric in ("decode_tps", "ttft_s"):
        (series,) = read_history(runs, metric=metric)
        (one,) = date_changes(series)
        assert one.worse
        assert one.open
        assert one.first.started.startswith("2026-02-23")
        assert [str(suspect) for suspect in one.suspects] == ["kernel: 6.17 → 6.18"]
    told = call("changes", "--runs", str(runs), "--metric", "decode_tps")
    assert told.exit_code == 1
    assert "OPEN: llama × chat decode_tps 24.12 tok/s → 21.72 tok/s (−9.9 %, step" in told.output
    assert "since 2026-02-23 02:00 (csv nights.csv)\n    suspect: kernel: 6.17 → 6.18\n" in told.output
    assert told.output.endswith("1 series, 1 change, 1 open\n")


def test_recovered_or_old_changes_are_not_open(runs: Path) -> None:
    """A change that recovered or is long ago is dated, and not open."""
    write_import(runs, [night(day, 24 * wobble(day)) for day in range(60, 75)], source="csv later.csv")
    (series,) = read_history(runs, metric="decode_tps")
    assert [(one.worse, one.open) for one in date_changes(series)] == [(True, False), (False, False)]
    write_import(runs, [night(day, 0.11 * wobble(day), metric="ttft_s") for day in range(60, 95)], source="x")
    (series,) = read_history(runs, metric="ttft_s")
    assert [(one.worse, one.open) for one in date_changes(series)] == [(True, False)]
    assert call("changes", "--runs", str(runs)).exit_code == 0


def test_table_marks_imported_series(runs: Path) -> None:
    """The table shows each series, and marks imported ones."""
    told = call("--runs", str(runs), "--metric", "decode_tps")
    assert told.exit_code == 0
    (row,) = [line for line in told.output.splitlines() if "llama" in line]
    assert row.split()[:5] == ["llama", "(imported)", "chat", "decode_tps", "60"]
    assert "24.12 tok/s  21.82 tok/s" in row
    assert "2026-03-04 02:00" in row
    assert "▁" in row
    assert "█" in row


def test_every_point_is_exported(runs: Path, tmp_path: Path) -> None:
    file = tmp_path / "points.csv"
    assert call("export", "--csv", str(file), "--runs", str(runs)).exit_code == 0
    with file.open(newline="") as text:
        read = list(csv.DictReader(text))
    told = call("export", "--csv", "-", "--runs", str(runs))
    assert told.output.replace("\r", "") == file.read_text().replace("\r", "")
    points = {(s.metric, p.started): p for s in read_history(runs) for p in s.points}
    assert len(read) == len(points) == 120
    for row in read:
        point = points[row["metric"], row["started"]]
        assert float(row["value"]) == point.value
        assert tuple(map(float, row["launches"].split())) == point.launches
        assert (row["valid"], row["outcome"], row["provenance"]) == ("True", "", "imported")


def test_parquet_has_the_same_points(runs: Path, tmp_path: Path) -> None:
    """Parquet has the same points with their types."""
    parquet = pytest.importorskip("pyarrow.parquet")
    file = tmp_path / "points.parquet"
    assert call("export", "--parquet", str(file), "--runs", str(runs)).exit_code == 0
    points = [point for series in read_history(runs) for point in series.points]
    read = parquet.read_table(file).to_pylist()
    assert [(row["started"], row["value"], tuple(row["launches"])) for row in read] == [
        (point.started, point.value, point.launches) for point in points
    ]
    assert call("export", "--parquet", str(file), "--runs", str(runs), "--since", "2999-01-01").exit_code == 0
    assert parquet.read_table(file).num_rows == 0


def test_without_pyarrow_it_is_said_how_to_get_it(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    told = call("export", "--parquet", str(tmp_path / "x"), "--runs", str(runs))
    assert isinstance(told.exception, TokgateError)
    assert "pip install 'tokgate[parquet]'" in str(told.exception)


def test_wrong_use_is_told(runs: Path) -> None:
    both = call("export", "--runs", str(runs))
    assert "pass either --csv FILE or --parquet FILE" in str(both.exception)
    full = call("export", "--runs", str(runs), "--csv", "/dev/full")
    assert "/dev/full: cannot be written: No space left" in str(full.exception)
    nowhere = call("--runs", str(runs / "none"))
    assert "run the suite first, or pass --runs DIR" in str(nowhere.exception)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--metric=decode_tp", "--metric decode_tp: not in the history; did you mean `decode_tps`?"),
        ("--server=foo", "--server foo: not in the history; valid: llama"),
        ("--fingerprint=0", "--fingerprint 0: not in the history; valid: "),
        ("--since=soon", "--since: expected a date such as 2026-11-20, got 'soon'"),
    ],
)
def test_a_filter_of_unknown_value_is_an_error(runs: Path, option: str, message: str) -> None:
    for command in ((), ("changes",), ("export", "--csv", "-")):
        error = call(*command, "--runs", str(runs), option).exception
        assert isinstance(error, UsageError)
        assert message in str(error)


def test_filters_that_exclude_everything(runs: Path) -> None:
    """Each value is known, and no point has all of them: an empty table, and a line that says why."""
    result = call("--runs", str(runs), "--metric", "decode_tps", "--since", "2999-01-01T12:00+01:00")
    assert (result.exit_code, result.stderr) == (0, "no values match these filters\n")


def test_damaged_record_is_named(runs: Path) -> None:
    """A damaged record is named, and the good ones are shown."""
    (runs / "20260401T000000Z-abc").mkdir()
    (runs / "20260401T000000Z-abc" / RECORD).write_text("{")
    (runs / "import-broken").mkdir()
    (runs / "import-broken" / IMPORT).write_text("")
    told = call("--runs", str(runs))
    assert told.exit_code == 0
    assert f"skipped: {runs / '20260401T000000Z-abc' / RECORD}: is not a valid run record" in told.stderr
    assert f"skipped: {runs / 'import-broken' / IMPORT}: is empty" in told.stderr
    assert "llama" in told.stdout


def test_an_import_twice_is_told(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text("day,tps\n2026-01-01,24.5\n2026-01-02,24.6\n")
    maps = ["started=day", "value=tps", "server==s", "workload==w", "metric==decode_tps"]
    args = ["import", "csv", str(file), "--runs", str(tmp_path / "runs")]
    args += [part for one in maps for part in ("--map", one)]
    first, second = (CliRunner().invoke(app, args) for _ in range(2))
    assert "2 values of 1 cell from csv x.csv → " in first.output
    assert "already" in second.output
    (series,) = read_history(tmp_path / "runs")
    assert [point.value for point in series.points] == [24.5, 24.6]


@pytest.mark.parametrize(("values", "bars"), [([], ""), ([3.0], "▄"), ([1.0, 1.0], "▄▄"), ([1.0, 8.0, 4.5], "▁█▄")])
def test_a_sparkline_spans_from_lowest_to_highest(values: list[float], bars: str) -> None:
    drawn = draw_sparkline(values)
    assert len(drawn) == len(bars)
    assert drawn[:2] == bars[:2]


def test_names_stay_readable_at_80_columns(runs: Path) -> None:
    """With more runs than the sparkline shows; it is the first column to go."""
    told = CliRunner().invoke(app, ["history", "--runs", str(runs)], env={"COLUMNS": "80"}).stdout
    assert max(map(len, told.splitlines())) <= 80
    assert "▁" not in told
    (row,) = [line for line in told.splitlines() if "decode_tps" in line]
    assert row.split()[:5] == ["llama", "(imported)", "chat", "decode_tps", "60"]
    assert "21.82 tok/s" in row
