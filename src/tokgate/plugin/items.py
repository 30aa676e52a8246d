"""What a collected test was parametrised with; light enough for every pytest that has the plugin."""

from __future__ import annotations

from typing import Any

import pytest


def params_of(item: pytest.Item) -> dict[str, Any]:
    """By name; empty for a test without parameters."""
    params: dict[str, Any] = item.callspec.params if hasattr(item, "callspec") else {}
    return params
