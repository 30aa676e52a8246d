"""Any CSV file with a header and one value per row; `--map` says what the columns mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tokgate._exceptions import SpecError, UsageError
from tokgate.config.explain import nearest
from tokgate.store.importers import Importer
from tokgate.store.importers._read import parse_number, parse_time, read_csv_rows
from tokgate.store.imports import Imported

_ONE = ("started", "server", "workload", "metric", "value")
_MANY = ("condition", "machine", "suspect")


def read_csv(file: Path, maps: Sequence[str] = ()) -> tuple[Imported, ...]:
    """Read one value per row.

    maps: `KEY=COLUMN`, `KEY=COLUMN+COLUMN` (joined by a space), or `KEY==TEXT` for all rows. KEY is started, server,
        workload, metric or value, once each, or condition, machine or suspect, any number of times.
    Raises UsageError: a map is wrong. SpecError: a row has no time or no number.
    """
    header, rows = read_csv_rows(file)
    columns = _columns(maps, header)
    results = []
    for line, row in rows:
        of = {key: _text(columns[key], row) for key in _ONE}
        results.append(
            Imported(
                started=parse_time(of["started"], file=file, what="started", line=line),
                server=of["server"],
                workload=of["workload"],
                metric=of["metric"],
                value=parse_number(of, "value", file=file, what="value", line=line),
                conditions=_facts(columns["condition"], row),
                machine={**_facts(columns["machine"], row)},
                suspects={**_facts(columns["suspect"], row)},
            )
        )
    if not results:
        raise SpecError("has no rows below the header", file=file)
    return tuple(results)


def _columns(maps: Sequence[str], header: Sequence[str]) -> dict[str, list[str]]:
    """By key, its columns; a text is written `=TEXT`."""
    columns: dict[str, list[str]] = {key: [] for key in (*_ONE, *_MANY)}
    for entry in maps:
        key, _, value = entry.partition("=")
        if key not in columns:
            raise UsageError(f"--map {entry}: no key {key!r}; {nearest(key, columns)}")
        if key in _ONE and columns[key]:
            raise UsageError(f"--map {entry}: {key} is already mapped")
        named = [value] if value.startswith("=") else value.split("+")
        for column in named:
            if not column.startswith("=") and column not in header:
                raise UsageError(f"--map {entry}: no column {column!r}; {nearest(column, header)}")
        columns[key] += named
    missing = [key for key in _ONE if not columns[key]]
    if missing:
        raise UsageError(f"--map {missing[0]}=COLUMN is missing (or {missing[0]}==TEXT); columns: {', '.join(header)}")
    return columns


def _text(columns: Sequence[str], row: Mapping[str, str]) -> str:
    parts = [column[1:] if column.startswith("=") else row[column] for column in columns]
    return " ".join(part.strip() for part in parts if part.strip())


def _facts(columns: Sequence[str], row: Mapping[str, str]) -> dict[str, str]:
    """The value of each column; empty fields are unknown, and left out."""
    values = {column.lstrip("="): _text([column], row) for column in columns}
    return {column: value for column, value in values.items() if value}


IMPORTER = Importer(read_csv, options=("maps",))
