"""Reading within bounds: files of limited size, and JSON of limited depth."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TypeVar

import msgspec

from tokgate.config.bounds import NESTING
from tokgate.config.words import format_size

T = TypeVar("T")


def read_file(path: Path, most: int) -> bytes:
    """The content of a file of at most `most` bytes. Raises OSError, also if it is larger."""
    with path.open("rb") as file:
        raw = file.read(most + 1)
    if len(raw) > most:
        raise OSError(errno.EFBIG, f"it is larger than {format_size(most)}, the limit for such a file", str(path))
    return raw


def decode_json(raw: bytes | str, kind: type[T]) -> T:
    """Decode JSON of a declared form. Raises msgspec.DecodeError, also for brackets nested too deeply to be decoded."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except RecursionError:
        raise msgspec.DecodeError("JSON is nested too deeply") from None


def decode_any_json(raw: bytes | str) -> object:
    """Decode JSON of any form, at most NESTING levels deep. Raises msgspec.DecodeError."""
    value = decode_json(raw, object)
    check_nesting(value)
    return value


def check_nesting(value: object) -> None:
    """Raise msgspec.DecodeError if decoded JSON has more than NESTING levels: functions that follow them would fail."""
    level = [value]
    for _ in range(NESTING):
        level = [child for parent in level for child in _list_children(parent)]
        if not level:
            return
    raise msgspec.DecodeError(f"JSON is nested more than {NESTING} levels deep")


def _list_children(value: object) -> list[object]:
    """The lists and mappings in a value."""
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [item for item in items if isinstance(item, dict | list)]
