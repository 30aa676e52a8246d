"""The real terminal, past pytest's capture: one line at a time, or what runs now."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tokgate.suite.cell import Watch


def say(config: pytest.Config, text: str) -> None:
    """One line on the real terminal, past pytest's capture."""
    with _uncaptured(config):
        print(f"\ntokgate: {text}", file=sys.stderr, flush=True)


@contextmanager
def shown(config: pytest.Config, title: str) -> Iterator[Watch]:
    """The progress line of what runs now."""
    from rich.console import Console

    from tokgate.report.progress import live

    with _uncaptured(config), live(title, Console(stderr=True)) as watch:
        yield watch


def _uncaptured(config: pytest.Config) -> AbstractContextManager[None]:
    manager: Any = config.pluginmanager.getplugin("capturemanager")
    disabled: AbstractContextManager[None] = manager.global_and_fixture_disabled()
    return disabled
