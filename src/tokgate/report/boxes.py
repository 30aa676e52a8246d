"""Boxes side by side: the cells of a run over many, each beside the first box's."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from rich.table import Table
from rich.text import Text

from tokgate.config.words import ABSENT
from tokgate.judge.compare import Comparison, Finding, Pair, compare
from tokgate.report.badge import Badge
from tokgate.report.compare import LEVEL, middle, notes, rate, ratio_and_interval, words
from tokgate.report.terminal import as_text, summary, visible
from tokgate.store.run_pair import pair_runs
from tokgate.store.runs import RunRecord

_LOOKS: dict[Finding, tuple[str, str]] = {
    "slower": ("▼", "bad"),
    "faster": ("▲", "good"),
    "alike": ("=", "plain"),
    "unknown": ("–", "unsure"),
}


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """What one box measured of a cell; beside the first box its ratio and interval, if any, and a badge."""

    value: str
    ratio: str = ""
    badge: Badge | None = None


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One cell, a figure for each box; None where it has nothing to compare."""

    server: str
    workload: str
    metric: str
    figures: tuple[Figure | None, ...]


class Across(msgspec.Struct, frozen=True, kw_only=True):
    """hosts: the boxes, in the order they were named. notes: for each but the first, in what it differs."""

    hosts: tuple[str, ...]
    lines: tuple[Line, ...]
    notes: tuple[tuple[str, tuple[str, ...]], ...]
    trust: tuple[str, ...]


def across(record: RunRecord) -> Across | None:
    """The boxes of a run side by side; None where it has not two. One error rate holds for all comparisons."""
    if len(record.boxes) < 2:
        return None
    first, *others = record.boxes
    sides = [pair_runs(first.record, box.record) for box in others]
    found = iter(compare([pair for both in sides for pair in both.pairs], level=LEVEL))
    columns = [{_cell(pair): next(found) for pair in both.pairs} for both in sides]
    cells = dict.fromkeys(key for column in columns for key in column)
    everything = [one for column in columns for one in column.values()]
    return Across(
        hosts=tuple(box.host for box in record.boxes),
        lines=tuple(_line(cell, [column.get(cell) for column in columns]) for cell in cells),
        notes=tuple(
            (box.host, tuple(text.plain for text in notes(both, first.host, box.host)))
            for box, both in zip(others, sides, strict=True)
        ),
        trust=tuple(text.plain for text in rate(everything)),
    )


def summary_of_all(record: RunRecord, *, width: int, colour: bool) -> str:
    """`summary` of a run or, one below the other, of each of its boxes; then these side by side."""
    if not record.boxes:
        return summary(record, width=width, colour=colour)
    parts = [
        f"{visible(box.host)}\n{summary(box.record, width=width, colour=colour)}" for box in record.boxes
    ]
    beside_each_other = across(record)
    if beside_each_other is not None:
        parts.append(as_text(*_shown(beside_each_other), width=width, colour=colour))
    lost = [Text(f"not checked: {visible(what)}", "yellow") for what in record.not_checked]
    if lost:
        parts.append(as_text(*lost, width=width, colour=colour))
    return "\n\n".join(parts)


def _cell(pair: Pair) -> tuple[str, str, str]:
    return pair.server, pair.workload, pair.metric


def _line(cell: tuple[str, str, str], found: Sequence[Comparison | None]) -> Line:
    server, workload, metric = cell
    first = next(one.pair.a for one in found if one is not None)
    return Line(
        server=server,
        workload=workload,
        metric=metric,
        figures=(
            Figure(value=middle(metric, first)),
            *(None if one is None else _figure(one) for one in found),
        ),
    )


def _figure(one: Comparison) -> Figure:
    symbol, tone = _LOOKS[one.finding]
    ratio, interval = ratio_and_interval(one)
    return Figure(
        value=middle(one.pair.metric, one.pair.b),
        ratio="" if one.ratio is None else f"× {ratio} ({interval})",
        badge=Badge(symbol, words(one), tone),
    )


def _shown(shown: Across) -> list[Table | Text]:
    table = Table(title=f"{len(shown.hosts)} boxes side by side", title_justify="left", box=None)
    table.add_column("server, workload, metric", overflow="fold")
    for host in shown.hosts:
        table.add_column(visible(host), justify="right", overflow="fold")
    for line in shown.lines:
        cell = Text(visible(f"{line.server} {line.workload} {line.metric}"))
        table.add_row(cell, *(_words(one) for one in line.figures))
    told = [Text(visible(f"{host}: {note}"), "dim") for host, listed in shown.notes for note in listed]
    return [table, *(Text(one, "dim") for one in shown.trust), *told]


def _words(one: Figure | None) -> str:
    if one is None:
        return ABSENT
    if one.badge is None:
        return one.value
    return "\n".join(filter(None, (one.value, one.ratio, one.badge.word)))
