"""Boxes side by side: the cells of a run on several boxes, each compared with the first box's."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from rich.table import Table
from rich.text import Text

from tokgate._printable import escape_line
from tokgate.config.words import ABSENT, format_count, format_interval, format_ratio
from tokgate.judge.cell import CellKey
from tokgate.judge.compare import Pair, PairResult, compare
from tokgate.report.badge import Badge
from tokgate.report.compare import (
    LEVEL,
    describe_differences,
    explain_level,
    explain_unknown,
    format_mean,
    make_comparison_badge,
)
from tokgate.report.table import render
from tokgate.report.terminal import format_summary
from tokgate.store.run_pair import RunPair, pair_runs
from tokgate.store.runs import Box, RunRecord, find_gate_verdict


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """What one box measured of a cell; except for the first box, its ratio and interval, if any, and a badge."""

    value: str
    ratio: str = ""
    badge: Badge | None = None


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One cell, with a figure for each box; None where there is nothing to compare."""

    cell: CellKey
    figures: tuple[Figure | None, ...]


class Across(msgspec.Struct, frozen=True, kw_only=True):
    """hosts: the boxes, in the order they were named. notes: for each but the first, how it differs.

    trust: how far the comparisons can be trusted.
    """

    hosts: tuple[str, ...]
    lines: tuple[Line, ...]
    notes: tuple[tuple[str, tuple[str, ...]], ...]
    trust: tuple[str, ...]


def compare_boxes(record: RunRecord) -> Across | None:
    """The boxes of a run side by side; None if it has fewer than two. All comparisons share one error rate."""
    if len(record.boxes) < 2:
        return None
    first, *others = record.boxes
    sides = [_compare_boxes(first, box) for box in others]
    results = compare([pair for both in sides for pair in both.pairs], level=LEVEL)
    iterator = iter(results)
    columns = [{_key(pair): next(iterator) for pair in both.pairs} for both in sides]
    cells = dict.fromkeys(key for column in columns for key in column)
    return Across(
        hosts=tuple(box.host for box in record.boxes),
        lines=tuple(_make_line(cell, [column.get(cell) for column in columns]) for cell in cells),
        notes=tuple(
            (box.host, tuple(text.plain for text in describe_differences(both, first.host, box.host)))
            for box, both in zip(others, sides, strict=True)
        ),
        trust=tuple(text.plain for text in (*explain_level(results), *explain_unknown(results))),
    )


def format_summaries(record: RunRecord, *, width: int, color: bool) -> str:
    """`summary` of a run or, one below the other, of each of its boxes; then the boxes side by side."""
    if not record.boxes:
        return format_summary(record, width=width, color=color)
    parts = [f"{escape_line(box.host)}\n{format_summary(box.record, width=width, color=color)}" for box in record.boxes]
    beside_each_other = compare_boxes(record)
    if beside_each_other is not None:
        parts.append(render(*_lay_out(beside_each_other), width=width, color=color))
    gaps = [Text(f"not checked: {escape_line(what)}", "yellow") for what in record.not_checked]
    if gaps:
        parts.append(render(*gaps, width=width, color=color))
    return "\n\n".join(parts)


def _compare_boxes(first: Box, box: Box) -> RunPair:
    """The launches that count in the verdicts of each box, so that one report shows one figure for a cell."""
    both = pair_runs(first.record, box.record)
    pairs = tuple(
        msgspec.structs.replace(pair, a=_as_judged(pair.a, pair, first.record), b=_as_judged(pair.b, pair, box.record))
        for pair in both.pairs
    )
    return msgspec.structs.replace(both, pairs=pairs)


def _as_judged(values: tuple[float, ...], pair: Pair, record: RunRecord) -> tuple[float, ...]:
    """Without the launches that came after the verdict, to confirm another metric."""
    verdict = find_gate_verdict(record, _key(pair))
    return values if verdict is None or verdict.current is None else values[: verdict.launches]


def _key(pair: Pair) -> CellKey:
    return CellKey(pair.server, pair.workload, pair.metric)


def _make_line(cell: CellKey, results: Sequence[PairResult | None]) -> Line:
    first = next(result.pair.a for result in results if result is not None)
    return Line(
        cell=cell,
        figures=(
            Figure(value=format_mean(cell.metric, first)),
            *(None if result is None else _make_figure(result) for result in results),
        ),
    )


def _make_figure(result: PairResult) -> Figure:
    interval = format_interval(result.low, result.high)
    return Figure(
        value=format_mean(result.pair.metric, result.pair.b),
        ratio="" if result.ratio is None else f"× {format_ratio(result.ratio)} ({interval})",
        badge=make_comparison_badge(result),
    )


def _lay_out(boxes: Across) -> list[Table | Text]:
    title = f"{format_count(len(boxes.hosts), 'box')} side by side"
    table = Table(title=title, title_justify="left", box=None)
    table.add_column("server, workload, metric", overflow="fold")
    for host in boxes.hosts:
        table.add_column(escape_line(host), justify="right", overflow="fold")
    for line in boxes.lines:
        cell = Text(escape_line(" ".join(line.cell)))
        table.add_row(cell, *(_describe(figure) for figure in line.figures))
    notes = [Text(escape_line(f"{host}: {note}"), "dim") for host, listed in boxes.notes for note in listed]
    return [table, *(Text(sentence, "dim") for sentence in boxes.trust), *notes]


def _describe(figure: Figure | None) -> str:
    if figure is None:
        return ABSENT
    if figure.badge is None:
        return figure.value
    return "\n".join(filter(None, (figure.value, figure.ratio, figure.badge.word)))
