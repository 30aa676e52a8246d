"""Reads single values from /proc and /sys; any file may be missing, and then the value is None (unknown)."""

from __future__ import annotations

from pathlib import Path

ROOT = Path("/")
"""Where /proc, /sys and /dev are; another folder holds a recorded machine."""


def read_text(path: Path) -> str | None:
    """The file's text without surrounding white space; None where it cannot be read or is empty."""
    try:
        return path.read_text(errors="replace").strip() or None
    except OSError:
        return None


def read_int(path: Path) -> int | None:
    """The integer in a file, decimal or 0x hexadecimal; None where there is none."""
    text = read_text(path)
    try:
        return None if text is None else int(text, 0)
    except ValueError:
        return None


def read_fields(path: Path, separator: str | None = None) -> dict[str, str]:
    """Lines `key value` (or `key: value` with separator ":") as a mapping; empty where unreadable.

    A repeated key keeps its first value: /proc/cpuinfo repeats its keys for each processor.
    """
    fields: dict[str, str] = {}
    for line in (read_text(path) or "").splitlines():
        key, *rest = line.split(separator, 1)
        if rest:
            fields.setdefault(key.strip(), rest[0].strip())
    return fields
