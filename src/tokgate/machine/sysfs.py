"""Reads single values from /proc and /sys; any file may be missing, and then the value is None (unknown)."""

from __future__ import annotations

from pathlib import Path

ROOT = Path("/")
"""Where /proc, /sys and /dev are; another folder holds a recorded machine."""


def read_text(path: Path) -> str | None:
    """The file's text without surrounding white space; None where it cannot be read or is empty."""
    try:
        return path.read_text(errors="replace").strip() or None
    except (OSError, ValueError):  # ValueError: a name taken from another file has a zero byte
        return None


def read_int(path: Path) -> int | None:
    """The integer in a file, decimal or 0x hexadecimal; None where there is none."""
    return parse_int(read_text(path), base=0)


def parse_int(text: str | None, *, base: int = 10) -> int | None:
    """The integer that `text` is; None where it is none, or has more than the 64 bits of the kernel's own."""
    try:
        number = int(text or "", base)
    except ValueError:
        return None
    return number if -(2**63) <= number < 2**63 else None


def read_fields(path: Path, separator: str | None = None) -> dict[str, str]:
    """Lines `key value` (or `key: value` with separator ":") as a mapping; empty where unreadable.

    A repeated key keeps its first value: /proc/cpuinfo repeats its keys for each processor.
    """
    fields: dict[str, str] = {}
    for line in (read_text(path) or "").splitlines():
        words = line.split(separator, 1)
        if len(words) == 2:
            fields.setdefault(words[0].strip(), words[1].strip())
    return fields
