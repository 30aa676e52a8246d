"""Output to the terminal that pytest does not capture: single lines and the progress line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tokgate.suite.case import Watch


def say(config: pytest.Config, text: str) -> None:
    """Print one line to the terminal, uncaptured, with the name of the box if there are several."""
    box = f"[{config.workerinput['workerid']}] " if hasattr(config, "workerinput") else ""
    with _uncaptured(config):
        print(f"\ntokgate: {box}{text}", file=sys.stderr, flush=True)


@contextmanager
def show_progress(config: pytest.Config, title: str) -> Iterator[Watch]:
    """Show a progress line while something runs; none when other boxes share the terminal."""
    from rich.console import Console

    from tokgate.report.progress import show_progress

    terminal = False if hasattr(config, "workerinput") else None
    with _uncaptured(config), show_progress(title, Console(stderr=True, force_terminal=terminal)) as watch:
        yield watch


def _uncaptured(config: pytest.Config) -> AbstractContextManager[None]:
    manager: Any = config.pluginmanager.getplugin("capturemanager")
    disabled: AbstractContextManager[None] = manager.global_and_fixture_disabled()
    return disabled
