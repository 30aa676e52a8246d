"""Refuses YAML that grows when it is read: aliases that multiply or contain themselves, and endless nesting."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tokgate._exceptions import SpecError
from tokgate.config.bounds import NESTING, YAML_NODES


class _Size(NamedTuple):
    """Keys and values, and levels of lists and mappings, when all aliases are replaced."""

    nodes: int
    levels: int


class _Open:
    """A list or mapping that has not ended."""

    def __init__(self, anchor: str | None) -> None:
        self.anchor, self.nodes, self.levels = anchor, 1, 1

    def add(self, size: _Size) -> None:
        self.nodes += size.nodes
        self.levels = max(self.levels, 1 + size.levels)


def check_growth(text: str, file: Path, loader: Any) -> None:
    """Look at the events of `text` before anything is built from them. Raises SpecError, yaml.YAMLError."""
    anchored: dict[str | None, _Size] = {}
    parents: list[_Open] = []
    nodes = 0  # all so far
    for event in yaml.parse(text, Loader=loader):
        anchor = getattr(event, "anchor", None)
        if isinstance(event, yaml.CollectionStartEvent):
            parents.append(_Open(anchor))
            nodes, size = nodes + 1, _Size(0, 1)
        elif isinstance(event, yaml.CollectionEndEvent):
            ended = parents.pop()
            anchor, size = ended.anchor, _Size(ended.nodes, ended.levels)
        elif isinstance(event, yaml.ScalarEvent):
            nodes, size = nodes + 1, _Size(1, 0)
        elif isinstance(event, yaml.AliasEvent):
            if any(anchor == parent.anchor for parent in parents):
                raise _refuse(f"alias `*{anchor}` contains itself", file, event)
            size = anchored.get(anchor, _Size(1, 0))  # an unknown one is reported when it is replaced
            nodes += size.nodes
        else:
            continue
        if nodes > YAML_NODES:
            raise _refuse(f"has more than {YAML_NODES} keys and values when its aliases are replaced", file, event)
        if len(parents) + size.levels > NESTING + isinstance(event, yaml.CollectionStartEvent):
            raise _refuse(f"nested more than {NESTING} levels deep", file, event)
        if isinstance(event, yaml.CollectionStartEvent):
            continue
        if parents:
            parents[-1].add(size)
        if anchor is not None and not isinstance(event, yaml.AliasEvent):
            anchored[anchor] = size


def _refuse(message: str, file: Path, event: yaml.Event) -> SpecError:
    mark = event.start_mark
    return SpecError(message, file=file, line=None if mark is None else mark.line + 1)
