"""The parameters of a collected test; imports little, because every pytest with the plugin loads it."""

from __future__ import annotations

from typing import Any

import pytest


def get_params(item: pytest.Item) -> dict[str, Any]:
    """The parameters of a test by name; empty for a test without any."""
    params: dict[str, Any] = item.callspec.params if hasattr(item, "callspec") else {}
    return params
