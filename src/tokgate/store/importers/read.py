"""What the readers of other tools' files share: text, numbers and times, or an error that names the place."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tokgate._exceptions import SpecError


def text_of(file: Path) -> str:
    """The file as text. Raises SpecError."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"cannot be read: {error}", file=file) from error


def csv_rows(file: Path) -> tuple[tuple[str, ...], list[tuple[int, dict[str, str]]]]:
    """The header of a CSV, and each row below it by the line it ends on. Raises SpecError."""
    reader = csv.reader(io.StringIO(text_of(file), newline=""))
    rows = []
    try:
        header = tuple(next(reader, ()))
        for row in reader:
            if row and len(row) != len(header):
                told = f"has {len(row)} fields below a header of {len(header)}"
                raise SpecError(told, file=file, line=reader.line_num)
            if row:
                rows.append((reader.line_num, dict(zip(header, row, strict=True))))
    except csv.Error as error:
        raise SpecError(f"is no CSV: {error}", file=file, line=reader.line_num) from error
    return header, rows


def number(row: Mapping[str, Any], key: str, *, file: Path, what: str, line: int | None = None) -> float:
    """`row[key]`, finite. Raises SpecError that says of `what` it is missing or no number."""
    try:
        value = float(row[key])
    except (KeyError, TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        seen = f"says {row[key]!r}" if key in row else "is missing"
        raise SpecError(f"{what}: expected a number, and it {seen}", file=file, line=line, key=key)
    return value


def as_time(text: object, *, file: Path, what: str, line: int | None = None) -> str:
    """ISO 8601 in UTC, to the millisecond; a time without a zone is taken as UTC. Raises SpecError."""
    try:
        when = datetime.fromisoformat(str(text))
        zoned = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        expected = "expected an ISO 8601 time, as 2026-01-31 or 2026-01-31T12:00:00Z"
        raise SpecError(f"{what}: {expected}, and it says {text!r}", file=file, line=line) from error
    return zoned.isoformat(timespec="milliseconds")
