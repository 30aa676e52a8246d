"""The LLM engines tokgate knows, one file each: what they are called, what they accept, what they report. Pure.

A new engine is one more file here with an `ENGINE` in it; nothing else lists the engines.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable

from tokgate.engines.engine import Engine


def _discover() -> tuple[Engine, ...]:
    """The `ENGINE` of each module here, in the order in which a server is compared with them."""
    modules = (importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__))
    engines = [module.ENGINE for module in modules if hasattr(module, "ENGINE")]
    return tuple(sorted(engines, key=lambda engine: (engine.is_fallback, engine.rank, engine.name)))


ENGINES = _discover()
FALLBACK = ENGINES[-1]
"""Any OpenAI-compatible server."""


def find(name: str) -> Engine:
    """The engine of this name. Raises KeyError when there is none: specs are checked as they are read."""
    return {engine.name: engine for engine in ENGINES}[name]


def identify(read_page: Callable[[str], object]) -> Engine:
    """Which engine a server is; FALLBACK when none recognizes it.

    read_page: gives a page by its path as decoded JSON, as text, or None; each is asked for once.
    """
    pages: dict[str, object] = {}
    for engine in ENGINES:
        for mark in engine.marks:
            if mark.path not in pages:
                pages[mark.path] = read_page(mark.path)
            if mark.fits(pages[mark.path]):
                return engine
    return FALLBACK
