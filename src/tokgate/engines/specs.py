"""What an engine says about a server's spec: whether it is known, and which options its image rejects."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tokgate import engines
from tokgate.config.catalogue import Catalogue
from tokgate.config.explain import KeyPath, nearest
from tokgate.config.server import DockerLaunch, ServerSpec

_VERSION_TAG = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?(?![\d.])")


def open_catalogue(root: Path) -> Catalogue:
    """The catalogue of a folder, whose servers are also checked against their engines."""
    return Catalogue(root, check_server=find_errors)


def find_errors(spec: ServerSpec) -> Iterator[tuple[KeyPath, str]]:
    """(place in the spec, what is wrong) of an unknown engine, and of each option that the image rejects.

    An image whose tag states no version (`latest`, a digest) is not judged.
    """
    names = [engine.name for engine in engines.ENGINES]
    if spec.engine not in names:
        yield ("engine",), f"unknown engine {spec.engine!r}; {nearest(spec.engine, names)}"
    elif isinstance(spec.launch, DockerLaunch):
        yield from _removed_options(spec, spec.launch)


def image_version(image: str) -> tuple[int, int, int] | None:
    """The version that an image's tag begins with; None when it states none."""
    tag = image.partition("@")[0].rpartition("/")[2].partition(":")[2]
    match = _VERSION_TAG.match(tag)
    return None if match is None else (int(match[1]), int(match[2]), int(match[3] or 0))


def _removed_options(spec: ServerSpec, launch: DockerLaunch) -> Iterator[tuple[KeyPath, str]]:
    version = image_version(launch.image)
    if version is None:
        return
    removed_options = {removed.option: removed for removed in engines.find(spec.engine).removed}
    for place, arg in enumerate(launch.args):
        removed = removed_options.get(arg.partition("=")[0].replace("_", "-"))
        if removed is not None and version >= removed.since:
            yield (
                ("launch", "args", place),
                f"{spec.engine} {_dotted(version)} (image {launch.image}) no longer accepts {removed.option}, "
                f"removed in {_dotted(removed.since)}; {removed.instead}",
            )


def _dotted(version: tuple[int, int, int]) -> str:
    return ".".join(map(str, version))
