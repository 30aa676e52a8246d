"""A history as tables for a terminal and for other programs."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, TextIO

from tokgate._exceptions import ExtraMissing
from tokgate.config.words import ABSENT, format_change, format_figure, format_p, format_time
from tokgate.report.changes import DatedChange, select_usable
from tokgate.report.table import Column, lay_out, render
from tokgate.store.history import Series

_BARS = "▁▂▃▄▅▆▇█"
_SERIES = ("fingerprint", "server", "workload", "metric", "conditions")
_POINT = ("run_id", "started", "value", "valid", "outcome", "provenance", "source", "launches")
_EXPORTED = (*_SERIES, "identity", *_POINT)
LAST = 30
"""Points that a sparkline shows: a month of nights."""


class _Row(NamedTuple):
    """A series, and the values of its usable points."""

    series: Series
    values: list[float]


def draw_sparkline(values: Sequence[float]) -> str:
    """One bar per value, scaled from the lowest to the highest; empty without values."""
    if not values:
        return ""
    low, high = min(values), max(values)
    step = (high - low) / (len(_BARS) - 1)
    return "".join(_BARS[round((value - low) / step)] if step else _BARS[3] for value in values)


def format_history(history: Iterable[Series], *, width: int, color: bool) -> str:
    """A row for each series: the number of valid runs, the newest value, the median and the last 30."""
    rows = [_Row(series, [point.value for point in select_usable(series)]) for series in history]
    return render(lay_out(rows, _TABLE, width=width), width=width, color=color)


def _name_server(row: _Row) -> str:
    return row.series.server + (" (imported)" if row.series.points[-1].provenance == "imported" else "")


def _format_median(row: _Row) -> str:
    return format_figure(row.series.metric, median(row.values) if row.values else None)


def _format_newest(row: _Row) -> str:
    return format_figure(row.series.metric, row.values[-1] if row.values else None)


_TABLE: tuple[Column[_Row], ...] = (
    Column("server", _name_server, wide=True),
    Column("workload", lambda row: row.series.workload, wide=True),
    Column("metric", lambda row: row.series.metric),
    Column("runs", lambda row: str(len(row.values)), right=True, drop=2),
    Column("invalid", lambda row: str(len(row.series.points) - len(row.values) or ABSENT), right=True, drop=3),
    Column("median", _format_median, right=True, drop=1),
    Column("newest", _format_newest, right=True),
    Column(f"last {LAST}", lambda row: draw_sparkline(row.values[-LAST:]), drop=5),
    Column("newest run (UTC)", lambda row: format_time(row.series.points[-1].started), drop=4),
)


def describe_changes(series: Series, changes: Iterable[DatedChange]) -> Iterator[str]:
    """Each change in a sentence, with its suspects indented below it."""
    for dated in changes:
        change = dated.change
        state = "OPEN" if dated.open else "slower" if dated.worse else "faster"
        levels = f"{format_figure(series.metric, change.before)} → {format_figure(series.metric, change.after)}"
        yield (
            f"{state}: {series.server} × {series.workload} {series.metric} {levels} "
            f"({format_change(change.ratio - 1)}, {change.kind}, {format_p(change.p)}) since "
            f"{format_time(dated.first.started)} ({dated.first.source})"
        )
        yield from (f"    suspect: {difference}" for difference in dated.suspects)
        if not dated.suspects:
            since = f"{format_time(dated.last.started)} ({dated.last.source})"
            yield f"    no recorded fact changed since {since}"


def write_csv(file: TextIO, history: Iterable[Series]) -> None:
    """A header, then a line for each point; launches are separated by spaces."""
    writer = csv.writer(file)
    writer.writerow(_EXPORTED)
    for row in _rows(history):
        writer.writerow([*row[:-1], " ".join(map(repr, row[-1]))])


def write_parquet(path: Path, history: Iterable[Series]) -> None:
    """A row for each point; launches are a list. Raises ExtraMissing, OSError."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ExtraMissing("Parquet", "pyarrow", extra="parquet") from error
    columns = list(zip(*_rows(history), strict=True)) or [()] * len(_EXPORTED)
    text, figure_, flag = pyarrow.string(), pyarrow.float64(), pyarrow.bool_()
    kinds = {"value": figure_, "valid": flag, "launches": pyarrow.list_(figure_)}
    schema = pyarrow.schema([(name, kinds.get(name, text)) for name in _EXPORTED])
    parquet.write_table(pyarrow.table([list(column) for column in columns], schema=schema), path)


def _rows(history: Iterable[Series]) -> Iterator[tuple[Any, ...]]:
    for series in history:
        for point in series.points:
            identity = " ".join(f"{key}={value}" for key, value in series.identity.items())
            yield (*(getattr(series, name) for name in _SERIES), identity, *(getattr(point, name) for name in _POINT))
