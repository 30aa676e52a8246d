"""Names of servers, workloads, hypotheses and arms: they become file names, labels of containers and parts of test IDs."""

from __future__ import annotations

import re

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


def explain_name(name: str) -> str | None:
    """Why this cannot be a name; None when it can."""
    if _NAME.fullmatch(name):
        return None
    return f"{name!r} is not a valid name: expected up to 100 letters, digits, `_`, `.` and `-`, of which `.` and `-` not first"
