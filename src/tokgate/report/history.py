"""A history as tables for a terminal and for other programs."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, TextIO

from rich.table import Table
from rich.text import Text

from tokgate._exceptions import ExtraMissing
from tokgate.config.words import format_change, format_figure, format_p, format_time
from tokgate.report.changes import DatedChange, usable
from tokgate.store.history import Series

_BARS = "▁▂▃▄▅▆▇█"
_COLUMNS = (
    *("fingerprint", "server", "workload", "metric", "conditions"),
    *("run_id", "started", "value", "valid", "outcome", "provenance", "source", "launches"),
)
LAST = 30
"""Points that a sparkline shows."""


def sparkline(values: Sequence[float]) -> str:
    """One bar a value, from the lowest to the highest of them; empty without values."""
    if not values:
        return ""
    low, high = min(values), max(values)
    step = (high - low) / (len(_BARS) - 1)
    return "".join(_BARS[round((value - low) / step)] if step else _BARS[3] for value in values)


def table(history: Iterable[Series]) -> Table:
    """A row for each series: how many valid runs, the newest figure against the median, and the last 30."""
    shown = Table(box=None)
    for name in ("server", "workload", "metric"):
        shown.add_column(name, overflow="fold")
    for name in ("runs", "invalid", "median", "newest"):
        shown.add_column(name, justify="right", no_wrap=True)
    shown.add_column(f"last {LAST}", no_wrap=True)
    shown.add_column("newest run", no_wrap=True)
    for series in history:
        points = usable(series)
        values = [point.value for point in points]
        newest = series.points[-1]
        shown.add_row(
            Text(series.server + (" (imported)" if newest.provenance == "imported" else "")),
            Text(series.workload),
            series.metric,
            str(len(points)),
            str(len(series.points) - len(points)),
            format_figure(series.metric, median(values) if values else None),
            format_figure(series.metric, values[-1] if values else None),
            sparkline(values[-LAST:]),
            format_time(newest.started),
        )
    return shown


def change_lines(series: Series, found: Iterable[DatedChange]) -> Iterator[str]:
    """Each change in a sentence, its suspects indented below it."""
    for one in found:
        change = one.change
        state = "OPEN" if one.open else "slower" if one.worse else "faster"
        levels = (
            f"{format_figure(series.metric, change.before)} → {format_figure(series.metric, change.after)}"
        )
        yield (
            f"{state}: {series.server} × {series.workload} {series.metric} {levels} "
            f"({format_change(change.ratio - 1)}, {change.kind}, {format_p(change.p)}) since {format_time(one.first.started)} "
            f"({one.first.source})"
        )
        yield from (f"    suspect: {difference}" for difference in one.suspects)
        if not one.suspects:
            yield f"    nothing that was recorded changed since {format_time(one.last.started)} ({one.last.source})"


def write_csv(file: TextIO, history: Iterable[Series]) -> None:
    """A line for each point below a header; launches are joined by blanks."""
    writer = csv.writer(file)
    writer.writerow(_COLUMNS)
    for row in _rows(history):
        writer.writerow([*row[:-1], " ".join(map(repr, row[-1]))])


def write_parquet(path: Path, history: Iterable[Series]) -> None:
    """A row for each point; launches are a list. Raises ExtraMissing, OSError."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ExtraMissing("Parquet", "pyarrow", extra="parquet") from error
    columns = list(zip(*_rows(history), strict=True)) or [()] * len(_COLUMNS)
    text, figure_, flag = pyarrow.string(), pyarrow.float64(), pyarrow.bool_()
    kinds = {"value": figure_, "valid": flag, "launches": pyarrow.list_(figure_)}
    schema = pyarrow.schema([(name, kinds.get(name, text)) for name in _COLUMNS])
    parquet.write_table(pyarrow.table([list(column) for column in columns], schema=schema), path)


def _rows(history: Iterable[Series]) -> Iterator[tuple[Any, ...]]:
    for series in history:
        for point in series.points:
            yield (
                *(series.fingerprint, series.server, series.workload, series.metric, series.conditions),
                *(point.run_id, point.started, point.value, point.valid),
                None if point.outcome is None else str(point.outcome),
                *(point.provenance, point.source, point.launches),
            )
