"""What a run will do, before it does it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from rich.text import Text

from tokgate.config.words import ABSENT, format_count, format_duration, format_percent
from tokgate.judge.plan import CellPlan, LaunchPlan, Source
from tokgate.judge.preview import HypothesisPlan, Preview
from tokgate.report.later import describe_last
from tokgate.report.table import Column, lay_out, render

_ESTIMATE = "≈ "


class _Row(NamedTuple):
    """A server with its starts and its time, one of its workloads with its launches and requests, or a hypothesis."""

    name: str
    launches: str
    requests: str = ""
    takes: str = ""
    detectable: str = ""


_COLUMNS: tuple[Column[_Row], ...] = (
    Column("server, workload", lambda row: row.name),
    Column("launches", lambda row: row.launches, right=True),
    Column("requests", lambda row: row.requests, right=True),
    Column("takes", lambda row: row.takes, right=True),
    Column("smallest detectable drop", lambda row: row.detectable, wide=True),
)


class _LaterRow(NamedTuple):
    """What is left for later, and its last answer."""

    name: str
    last: str


_LATER_COLUMNS: tuple[Column[_LaterRow], ...] = (
    Column("left for later", lambda row: row.name),
    Column("last answer", lambda row: row.last),
)


def describe_preview(preview: Preview, *, width: int, color: bool) -> str:
    """A row for each server × workload with the smallest drop each metric can detect, and for each hypothesis; what is
    left for later; the notes.

    The text is `width` columns wide.
    """
    rows = [] if preview.plan is None else list(_make_rows(preview.plan, preview.requests))
    rows += map(_make_hypothesis_row, preview.hypotheses)
    tables = [lay_out(rows, _COLUMNS, width=width, title="plan")] if rows else []
    if preview.later:
        later = [_LaterRow(each.name, describe_last(each, preview.started)) for each in preview.later]
        tables.append(lay_out(later, _LATER_COLUMNS, width=width))
    return render(*tables, *map(Text, preview.notes), width=width, color=color)


def _make_rows(plan: LaunchPlan, requests: Mapping[str, int]) -> Iterator[_Row]:
    for server in plan.servers:
        takes = _describe_time(server.seconds, server.source)
        yield _Row(server.server, str(server.starts), takes=takes)
        for workload, launches in server.launches.items():
            cells = [cell for cell in plan.cells if (cell.server, cell.workload) == (server.server, workload)]
            yield _Row(
                f"  {workload}",
                str(launches),
                requests=f"{launches} × {requests[workload]}",
                detectable=_describe_detectable(cells),
            )


def _make_hypothesis_row(entry: HypothesisPlan) -> _Row:
    name = f"hypothesis {entry.hypothesis}"
    if entry.known:
        return _Row(name, "known", takes=ABSENT, detectable=entry.known)
    launches = {
        "blocks": format_count(entry.blocks, "block"),
        "pairs": f"about {format_count(2 * entry.blocks, 'pair')}",
        "gate": "those above",
        "look": "a look inside",
        "arithmetic": ABSENT,
    }[entry.how]
    takes = _describe_time(entry.seconds, entry.source) if entry.seconds else ABSENT
    return _Row(name, launches, takes=takes, detectable=f"again: {entry.note}" if entry.note else "")


def _describe_time(seconds: float, source: Source) -> str:
    return f"{'' if source == 'measured' else _ESTIMATE}{format_duration(seconds)}"


def _describe_detectable(cells: Sequence[CellPlan]) -> str:
    """`decode_tps 2.1 %, ttft_s ≈ 6 %; goodput_rps no spread`, or one reason for all of them."""
    drops = [
        f"{cell.metric} {_ESTIMATE if cell.assumed else ''}{format_percent(cell.drop)}"
        for cell in cells
        if cell.drop is not None
    ]
    unseen: dict[str, list[str]] = {}
    for cell in cells:
        if cell.unseen:
            unseen.setdefault(cell.unseen, []).append(cell.metric)
    if not drops and len(unseen) == 1:
        return next(iter(unseen))
    reasons = [f"{', '.join(metrics)} {reason}" for reason, metrics in unseen.items()]
    return "; ".join(([", ".join(drops)] if drops else []) + reasons)
