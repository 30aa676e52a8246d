"""Parsing that all importers share: text, numbers and times, with the place in every error."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tokgate._exceptions import SpecError
from tokgate.config.bounds import IMPORT_BYTES
from tokgate.config.explain import explain_unreadable
from tokgate.config.reading import read_file
from tokgate.config.words import format_count


def read_text(file: Path) -> str:
    """The file as text. Raises SpecError."""
    try:
        return read_file(file, IMPORT_BYTES).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(explain_unreadable(error), file=file) from error


def read_csv_rows(file: Path) -> tuple[tuple[str, ...], list[tuple[int, dict[str, str]]]]:
    """The header of a CSV file, and each row with the number of its last line. Raises SpecError."""
    reader = csv.reader(io.StringIO(read_text(file), newline=""))
    rows = []
    try:
        header = tuple(next(reader, ()))
        for row in reader:
            if row and len(row) != len(header):
                message = f"the row has {format_count(len(row), 'field')}, the header has {len(header)}"
                raise SpecError(message, file=file, line=reader.line_num)
            if row:
                rows.append((reader.line_num, dict(zip(header, row, strict=True))))
    except csv.Error as error:
        raise SpecError(f"is not a CSV file: {error}", file=file, line=reader.line_num) from error
    return header, rows


def parse_number(row: Mapping[str, Any], key: str, *, file: Path, what: str, line: int | None = None) -> float:
    """`row[key]` as a finite number. Raises SpecError when it is missing or not a number; `what` names the row."""
    try:
        value = float(row[key])
    except (KeyError, TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        problem = f"got {row[key]!r}" if key in row else "it is missing"
        raise SpecError(f"{what}: expected a number, {problem}", file=file, line=line, key=key)
    return value


def parse_time(text: object, *, file: Path, what: str, line: int | None = None) -> str:
    """ISO 8601 in UTC, to the millisecond; a time without a zone is taken as UTC. Raises SpecError."""
    try:
        when = datetime.fromisoformat(str(text))
        zoned = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        expected = "expected an ISO 8601 time, such as 2026-01-31 or 2026-01-31T12:00:00Z"
        raise SpecError(f"{what}: {expected}, got {text!r}", file=file, line=line) from error
    return zoned.isoformat(timespec="milliseconds")
