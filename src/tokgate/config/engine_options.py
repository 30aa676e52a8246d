"""Options that a version of an engine no longer accepts, so that a spec fails before its container does."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from tokgate.config.server import DockerLaunch, Engine, ServerSpec

_VERSION_TAG = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?(?![\d.])")


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """An option the engine rejects from version `since` on; instead: what to write, in words."""

    engine: Engine
    option: str
    since: tuple[int, int, int]
    instead: str


# Source: vLLM's release notes and argument parser; the first was also seen: 0.32 exits "unrecognized arguments".
REMOVED = (
    Removed(
        engine="vllm",
        option="--swap-space",
        since=(0, 18, 0),
        instead="remove it and its value; it had no effect since the V1 engine",
    ),
    Removed(
        engine="vllm",
        option="--disable-log-requests",
        since=(0, 17, 0),
        instead="write --no-enable-log-requests",
    ),
)


def rejected(spec: ServerSpec) -> Iterator[tuple[int, str]]:
    """(place in `launch.args`, what is wrong and what to write instead) of each option the image rejects.

    Nothing for an image whose tag states no version (`latest`, a digest): it cannot be told.
    """
    if not isinstance(spec.launch, DockerLaunch):
        return
    version = image_version(spec.launch.image)
    if version is None:
        return
    for place, arg in enumerate(spec.launch.args):
        option = arg.partition("=")[0].replace("_", "-")
        for removed in REMOVED:
            if (removed.engine, removed.option) == (spec.engine, option) and version >= removed.since:
                since, seen = (".".join(map(str, one)) for one in (removed.since, version))
                yield (
                    place,
                    f"{spec.engine} {seen} (image {spec.launch.image}) no longer accepts {removed.option}, "
                    f"removed in {since}; {removed.instead}",
                )


def image_version(image: str) -> tuple[int, int, int] | None:
    """The version an image's tag begins with; None when it states none."""
    tag = image.partition("@")[0].rpartition("/")[2].partition(":")[2]
    match = _VERSION_TAG.match(tag)
    return None if match is None else (int(match[1]), int(match[2]), int(match[3] or 0))
