"""Coverage: the verdicts that a run plans, each by its name, and those that it did not give."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import msgspec

from tokgate.config.words import format_count
from tokgate.judge.cell import CellKey
from tokgate.judge.verdict import Verdict

_NAMED = 3  # of the verdicts that miss for one reason: the record has them all


class Planned(NamedTuple):
    """A verdict that a run plans.

    name: `SERVER × WORKLOAD METRIC`, `answers of SERVER` or `hypothesis NAME`.
    server: None for a hypothesis.
    """

    kind: Literal["gate", "answers", "hypothesis"]
    name: str
    server: str | None = None


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict that a run planned and did not give.

    name, server: as of `Planned`.
    why: what prevented it.
    deselected: whether the user left it out (`-k`, `--deselect`, a path, `--tokgate-server`).
    """

    name: str
    server: str | None
    why: str
    deselected: bool


def plan_cell(key: CellKey) -> Planned:
    return Planned("gate", f"{key.server} × {key.workload} {key.metric}", key.server)


def plan_answers(server: str) -> Planned:
    return Planned("answers", f"answers of {server}", server)


def plan_hypothesis(name: str) -> Planned:
    return Planned("hypothesis", f"hypothesis {name}")


def name_verdict(verdict: Verdict) -> str:
    """The name of the planned verdict that this one is."""
    if verdict.hypothesis is not None:
        return plan_hypothesis(verdict.hypothesis).name
    if verdict.kind == "answers":
        return plan_answers(verdict.server).name
    return plan_cell(CellKey(verdict.server, verdict.workload, verdict.metric)).name


def describe_missing(missing: Iterable[Missing]) -> tuple[str, ...]:
    """One line for each reason: `3 verdicts: not selected (-k chat)`, or the names of those that something prevented."""
    groups: dict[tuple[str, bool], list[str]] = {}
    for each in missing:
        groups.setdefault((each.why, each.deselected), []).append(each.name)
    return tuple(
        f"{format_count(len(names), 'verdict') if deselected else _list_names(names)}: {why}"
        for (why, deselected), names in groups.items()
    )


def _list_names(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {format_count(more, 'more verdict')}" if more > 0 else "")
