"""Any CSV with a header, one figure a row, by a map of what its columns mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tokgate._exceptions import SpecError, UsageError
from tokgate.config.explain import nearest
from tokgate.store.importers.read import as_time, csv_rows, number
from tokgate.store.imports import Imported

_ONE = ("started", "server", "workload", "metric", "value")
_MANY = ("condition", "machine", "suspect")


def read_table(file: Path, maps: Sequence[str]) -> tuple[Imported, ...]:
    """One figure a row. maps: `KEY=COLUMN`, `KEY=COLUMN+COLUMN` (joined by a blank), or `KEY==TEXT` for all rows.

    KEY: started, server, workload, metric, value, each once; condition, machine, suspect, any number of columns.
    Raises UsageError: a map is wrong; SpecError: a row lacks a time or a number.
    """
    header, rows = csv_rows(file)
    columns = _columns(maps, header)
    found = []
    for line, row in rows:
        of = {key: _text(columns[key], row) for key in _ONE}
        found.append(
            Imported(
                started=as_time(of["started"], file=file, what="started", line=line),
                server=of["server"],
                workload=of["workload"],
                metric=of["metric"],
                value=number(of, "value", file=file, what="value", line=line),
                conditions=_facts(columns["condition"], row),
                machine={**_facts(columns["machine"], row)},
                suspects={**_facts(columns["suspect"], row)},
            )
        )
    if not found:
        raise SpecError("has no rows below a header", file=file)
    return tuple(found)


def _columns(maps: Sequence[str], header: Sequence[str]) -> dict[str, list[str]]:
    """By key, its columns; a text is written `=TEXT`."""
    columns: dict[str, list[str]] = {key: [] for key in (*_ONE, *_MANY)}
    for one in maps:
        key, _, value = one.partition("=")
        if key not in columns:
            raise UsageError(f"--map {one}: no key {key!r}; {nearest(key, columns)}")
        if key in _ONE and columns[key]:
            raise UsageError(f"--map {one}: {key} is mapped already")
        named = [value] if value.startswith("=") else value.split("+")
        for column in named:
            if not column.startswith("=") and column not in header:
                raise UsageError(f"--map {one}: no column {column!r}; {nearest(column, header)}")
        columns[key] += named
    missing = [key for key in _ONE if not columns[key]]
    if missing:
        raise UsageError(
            f"--map {missing[0]}=COLUMN is missing (or {missing[0]}==TEXT); columns: {', '.join(header)}"
        )
    return columns


def _text(columns: Sequence[str], row: Mapping[str, str]) -> str:
    parts = [column[1:] if column.startswith("=") else row[column] for column in columns]
    return " ".join(part.strip() for part in parts if part.strip())


def _facts(columns: Sequence[str], row: Mapping[str, str]) -> dict[str, str]:
    """By column, what it says; an empty field is unknown, and left out."""
    told = {column.lstrip("="): _text([column], row) for column in columns}
    return {column: value for column, value in told.items() if value}
