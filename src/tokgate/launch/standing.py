"""Standing facts: what can be known of a server without starting it.

A verdict holds as long as they have not changed. What a live server shows (its engine's version, its effective
settings) follows from them: from the image, the files of its model, and what the spec declares.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from tokgate._exceptions import ModelMissing
from tokgate._secrets import redact_data
from tokgate.config.server import AttachLaunch, DockerLaunch, EmbeddedLaunch, ServerSpec
from tokgate.launch.models.paths import locate_gguf
from tokgate.launch.models.weights import find_weights, list_files
from tokgate.machine.daemon import Daemon

_NO_EFFECT = ("name", "description", "start_timeout")
"""Keys of a spec that change nothing in the server."""

StandingFacts = dict[str, str | None]
"""Fact by key, as text; None where it cannot be read, so that nothing is known of a change."""


def read_standing_facts(spec: ServerSpec, daemon: Daemon) -> StandingFacts:
    """The facts of one server. daemon: with the images of the specs in question."""
    facts: StandingFacts = dict(_list_declared(spec))
    match spec.launch:
        case DockerLaunch(image=image):
            facts["image id"] = daemon.images.get(image)
            if (weights := find_weights(spec)) is not None:
                facts["model files"] = _describe_files(list_files(weights))
        case EmbeddedLaunch(gguf=gguf):
            facts["engine package"] = _find_engine_version()
            facts["model files"] = None
            with suppress(ModelMissing):
                facts["model files"] = _describe_files([locate_gguf(gguf, server=spec.name)])
        case AttachLaunch():
            facts["server"] = None  # whoever started it may change it at any time
    return facts


def _list_declared(spec: ServerSpec) -> Iterator[tuple[str, str]]:
    """What the spec declares, by dotted key."""
    for key, value in msgspec.structs.asdict(spec).items():
        if key in _NO_EFFECT:
            continue
        if isinstance(value, msgspec.Struct):
            yield from ((f"{key}.{name}", _format_value(part)) for name, part in msgspec.structs.asdict(value).items())
        else:
            yield key, _format_value(value)
    yield "launch.kind", type(spec.launch).__name__


def _format_value(value: object) -> str:
    value = redact_data(value)
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    if isinstance(value, Mapping):
        return " ".join(f"{key}={part}" for key, part in sorted(value.items()))
    return str(value)


def _describe_files(files: list[Path]) -> str | None:
    """Name, size and time of each file; the hub names the files of its cache by their hash. None when one is missing."""
    if not files:
        return None
    texts = []
    for path in sorted(files):
        try:
            stat = path.stat()
        except OSError:
            return None
        texts.append(f"{path.name} {path.resolve().name[:12]} {stat.st_size} {stat.st_mtime_ns}")
    return ", ".join(texts)


def _find_engine_version() -> str | None:
    try:
        return importlib.metadata.version("xllamacpp")
    except importlib.metadata.PackageNotFoundError:
        return None
