"""Readers of other tools' results, one file each; a format has the name of its file.

A new importer is one more file here with an `IMPORTER` in it; nothing else lists the formats.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from tokgate._exceptions import UsageError

if TYPE_CHECKING:
    from tokgate.store.imports import Imported


class Importer(NamedTuple):
    """How files of one format are read.

    read: reads a file into rows. Raises SpecError when it is not of this format.
    options: the options of `tokgate import` that `read` takes as keyword arguments: `at`, `maps`.
    """

    read: Callable[..., Sequence[Imported]]
    options: tuple[str, ...] = ()


def format_names() -> list[str]:
    """The names of all formats, for example `llama-bench`."""
    modules = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(name.replace("_", "-") for name in modules if not name.startswith("_"))


def find_importer(name: str) -> Importer:
    """The importer of this format. Raises UsageError when there is none."""
    if name not in format_names():
        from tokgate.config.explain import nearest

        raise UsageError(f"no such format: `{name}`; {nearest(name, format_names())}")
    importer: Importer = importlib.import_module(f"{__name__}.{name.replace('-', '_')}").IMPORTER
    return importer
