"""What a run will do, before it does it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from rich.text import Text

from tokgate.config.words import format_duration, format_percent
from tokgate.judge.cell import CaseKey
from tokgate.judge.plan import CellPlan, LaunchPlan
from tokgate.report.table import Column, lay_out, render


class _Row(NamedTuple):
    """A server with its starts and its time, or one of its workloads with its launches and requests."""

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


def describe_plan(
    plan: LaunchPlan | None,
    *,
    requests: Mapping[CaseKey, int],
    notes: Sequence[str],
    width: int,
    color: bool,
) -> str:
    """A row for each server × workload with the smallest drop each metric can detect, then the notes.

    requests: timed on each launch; notes: a sentence each. The text is `width` columns wide.
    """
    rows = [] if plan is None else list(_make_rows(plan, requests))
    table = [lay_out(rows, _COLUMNS, width=width, title="plan")] if rows else []
    return render(*table, *map(Text, notes), width=width, color=color)


def _make_rows(plan: LaunchPlan, requests: Mapping[CaseKey, int]) -> Iterator[_Row]:
    for server in plan.servers:
        takes = format_duration(server.seconds)
        yield _Row(server.server, str(server.starts), takes=takes)
        for workload, launches in server.launches.items():
            case = CaseKey(server.server, workload)
            cells = [cell for cell in plan.cells if (cell.server, cell.workload) == case]
            yield _Row(
                f"  {workload}",
                str(launches),
                requests=f"{launches} × {requests[case]}",
                detectable=_describe_detectable(cells),
            )


def _describe_detectable(cells: Sequence[CellPlan]) -> str:
    """`decode_tps 2.1 %, ttft_s 6 %; goodput_rps no spread`, or one reason for all of them."""
    drops = [f"{cell.metric} {format_percent(cell.drop)}" for cell in cells if cell.drop is not None]
    unseen: dict[str, list[str]] = {}
    for cell in cells:
        if cell.unseen:
            unseen.setdefault(cell.unseen, []).append(cell.metric)
    if not drops and len(unseen) == 1:
        return next(iter(unseen))
    reasons = [f"{', '.join(metrics)} {reason}" for reason, metrics in unseen.items()]
    return "; ".join(([", ".join(drops)] if drops else []) + reasons)
