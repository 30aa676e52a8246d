"""Parsing that all importers share: text, numbers and times, with the place in every error."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from tokgate._exceptions import SpecError
from tokgate.config.bounds import IMPORT_BYTES
from tokgate.config.explain import explain_unreadable
from tokgate.config.reading import check_nesting, read_file
from tokgate.config.words import format_count
from tokgate.machine.fingerprint import Value

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"\s*")


def read_text(file: Path) -> str:
    """The file as text. Raises SpecError."""
    try:
        return read_file(file, IMPORT_BYTES).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(explain_unreadable(error), file=file) from error


def parse_json(text: str, *, file: Path, line: int = 1) -> Any:
    """The JSON value that `text` is. line: of its beginning. Raises SpecError."""
    values = [*iterate_json(text, file=file, line=line)]
    if len(values) != 1:
        raise SpecError(f"expected one JSON value, got {len(values)}", file=file, line=line)
    return values[0]


def iterate_json(text: str, *, file: Path, line: int = 1) -> Iterator[Any]:
    """JSON values, one after the other, with or without white space between them. Raises SpecError."""
    at = _skip_space(text, 0)
    while at < len(text):
        try:
            value, end = _DECODER.raw_decode(text, at)
            check_nesting(value)
            json.dumps(
                value, ensure_ascii=False
            ).encode()  # fails for half of a surrogate pair, which no record can hold
        except json.JSONDecodeError as error:
            raise SpecError(f"is not JSON: {error.msg}", file=file, line=line + error.lineno - 1) from error
        except (ValueError, RecursionError, msgspec.DecodeError) as error:
            here = line + text.count("\n", 0, at)
            raise SpecError(f"cannot be read as JSON: {error}", file=file, line=here) from error
        yield value
        at = _skip_space(text, end)


def _skip_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


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
    except (KeyError, TypeError, ValueError, OverflowError):
        value = math.nan
    if not math.isfinite(value):
        problem = f"got {row[key]!r}" if key in row else "it is missing"
        raise SpecError(f"{what}: expected a number, {problem}", file=file, line=line, key=key)
    return value


def as_fact(value: object) -> Value:
    """A value of JSON as a fact of a machine: a list, an object and a number of more than 64 bits as text."""
    is_large = isinstance(value, int) and abs(value) >= 2**63
    return value if value is None or (isinstance(value, str | bool | int | float) and not is_large) else str(value)


def parse_time(text: object, *, file: Path, what: str, line: int | None = None) -> str:
    """ISO 8601 in UTC, to the millisecond; a time without a zone is taken as UTC. Raises SpecError."""
    try:
        when = datetime.fromisoformat(str(text))
        zoned = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        expected = "expected an ISO 8601 time, such as 2026-01-31 or 2026-01-31T12:00:00Z"
        raise SpecError(f"{what}: {expected}, got {text!r}", file=file, line=line) from error
    return zoned.isoformat(timespec="milliseconds")
