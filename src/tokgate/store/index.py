"""The index of a folder of records: summaries in one SQLite file, updated by every reader.

It is a cache: a record that is new or has changed is read again, the summary of a removed record is dropped, and an
index that is damaged or of another version is rebuilt. A reader that cannot write keeps its index in memory. SQLite
makes it safe against a second reader and a power failure.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from tokgate._exceptions import RecordError
from tokgate.config.reading import decode_json
from tokgate.machine.fingerprint import Fingerprint, compute_fingerprint_id
from tokgate.store.runs import SCHEMA
from tokgate.store.summary import Summary, find_record, summarize

T = TypeVar("T")

INDEX = "history.sqlite"
_VERSION = 1000 * SCHEMA + 7  # raise it when the summary of a record changes, or when more records can be read
_BATCH = 100  # records per transaction, so that another reader never waits long

_TABLES = (
    "DROP TABLE IF EXISTS record",
    "DROP TABLE IF EXISTS fingerprint",
    "DROP TABLE IF EXISTS cell",
    "DROP TABLE IF EXISTS hypothesis",
    "DROP TABLE IF EXISTS verdict",
    "CREATE TABLE record (name TEXT PRIMARY KEY, stamp TEXT NOT NULL, problem TEXT)",
    "CREATE TABLE fingerprint (id INTEGER PRIMARY KEY, box TEXT NOT NULL, facts BLOB NOT NULL UNIQUE)",
    "CREATE TABLE cell (record TEXT NOT NULL, started TEXT NOT NULL, server TEXT NOT NULL, "
    "workload TEXT NOT NULL, fingerprint INTEGER NOT NULL, summary BLOB NOT NULL)",
    "CREATE INDEX cell_record ON cell (record)",
    "CREATE TABLE verdict (record TEXT NOT NULL, started TEXT NOT NULL, fingerprint INTEGER NOT NULL, "
    "summary BLOB NOT NULL)",
    "CREATE INDEX verdict_record ON verdict (record)",
)


@contextmanager
def open_index(out: Path) -> Iterator[sqlite3.Connection]:
    """Open the index of `out`, updated from its records.

    Raises RecordError: `out` cannot be listed, or the index is found to be damaged while it is read.
    """
    stamps = _stamps(out)
    with closing(_up_to_date(out, out / INDEX, stamps)) as index:
        try:
            yield index
        except (sqlite3.DatabaseError, DamagedRow) as error:
            raise RecordError(f"is damaged: {error}; delete it: it will be rebuilt", path=out / INDEX) from error


class DamagedRow(Exception):
    """A row of the index is not what tokgate wrote."""


def decode_row(raw: Any, kind: type[T]) -> T:
    """Decode JSON of the index. Raises DamagedRow, which `open_index` turns into a RecordError."""
    try:
        return decode_json(raw, kind)
    except (msgspec.DecodeError, TypeError, ValueError) as error:
        raise DamagedRow(str(error)) from error


def _up_to_date(out: Path, path: Path | str, stamps: dict[str, str]) -> sqlite3.Connection:
    with ExitStack() as undo:
        try:
            index = undo.enter_context(closing(sqlite3.connect(path, timeout=60, isolation_level=None)))
            _make(index)
            _refresh(index, out, stamps)
        except sqlite3.OperationalError:  # the folder is read-only, or the disk is full
            return _up_to_date(out, ":memory:", stamps)
        except sqlite3.DatabaseError:  # damaged
            for damaged in (Path(f"{path}-journal"), Path(path)):
                damaged.unlink(missing_ok=True)
            return _up_to_date(out, path, stamps)
        undo.pop_all()
    return index


def _make(index: sqlite3.Connection) -> None:
    """Create the tables unless they exist in this version."""
    index.execute("PRAGMA synchronous = NORMAL")
    with _transaction(index):
        if index.execute("PRAGMA user_version").fetchone() != (_VERSION,):
            for statement in _TABLES:
                index.execute(statement)
            index.execute(f"PRAGMA user_version = {_VERSION}")


@contextmanager
def _transaction(index: sqlite3.Connection) -> Iterator[None]:
    index.execute("BEGIN IMMEDIATE")
    with index:
        yield


def _stamps(out: Path) -> dict[str, str]:
    """By name of each folder with a record: a text that changes when the record is rewritten."""
    try:
        with os.scandir(out) as entries:
            names = [entry.name for entry in entries if entry.is_dir()]
    except OSError as error:
        raise RecordError(
            f"cannot be listed: {error.strerror}; run the suite first, or pass --runs DIR", path=out
        ) from error
    stamps = {}
    for name in names:
        with suppress(OSError):
            stat = find_record(out / name).stat()
            stamps[name] = f"{stat.st_ino} {stat.st_mtime_ns} {stat.st_size}"
    return stamps


def _refresh(index: sqlite3.Connection, out: Path, stamps: dict[str, str]) -> None:
    known = dict(index.execute("SELECT name, stamp FROM record").fetchall())
    changed = [name for name in known.keys() | stamps.keys() if known.get(name) != stamps.get(name)]
    for first in range(0, len(changed), _BATCH):
        names = changed[first : first + _BATCH]
        read = [(name, *_read(out / name)) for name in names if name in stamps]
        with _transaction(index):
            for name in names:
                index.execute("DELETE FROM cell WHERE record = ?", (name,))
                index.execute("DELETE FROM verdict WHERE record = ?", (name,))
                index.execute("DELETE FROM record WHERE name = ?", (name,))
            for name, summary, problem in read:
                index.execute("INSERT INTO record VALUES (?, ?, ?)", (name, stamps[name], problem))
                _insert(index, name, summary)


def _read(folder: Path) -> tuple[Summary, str | None]:
    try:
        return summarize(find_record(folder)), None
    except RecordError as error:
        return Summary(()), str(error)


def _insert(index: sqlite3.Connection, record: str, summary: Summary) -> None:
    for cell, fingerprint in summary.cells:
        index.execute(
            "INSERT INTO cell VALUES (?, ?, ?, ?, ?, ?)",
            (
                record,
                cell.started,
                cell.server,
                cell.workload,
                _find_id(index, fingerprint),
                msgspec.json.encode(cell),
            ),
        )
    for verdict, fingerprint in summary.verdicts:
        index.execute(
            "INSERT INTO verdict VALUES (?, ?, ?, ?)",
            (record, verdict.started, _find_id(index, fingerprint), msgspec.json.encode(verdict)),
        )


def _find_id(index: sqlite3.Connection, fingerprint: Fingerprint) -> int:
    """The row of these facts, inserted if it is new."""
    facts = msgspec.json.encode(fingerprint)
    box = compute_fingerprint_id(fingerprint)
    index.execute("INSERT OR IGNORE INTO fingerprint (box, facts) VALUES (?, ?)", (box, facts))
    (row,) = index.execute("SELECT id FROM fingerprint WHERE facts = ?", (facts,)).fetchone()
    return int(row)
