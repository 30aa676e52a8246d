"""What a run will do, before it does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from tokgate.config.words import format_duration, format_percent
from tokgate.judge.cell import CaseKey
from tokgate.judge.plan import CellPlan, LaunchPlan
from tokgate.report.terminal import as_text


def planned(
    plan: LaunchPlan | None,
    *,
    requests: Mapping[CaseKey, int],
    notes: Sequence[str],
    width: int,
    colour: bool,
) -> str:
    """A row for each server × workload with the smallest drop each metric will see, then the notes.

    requests: timed on each launch; notes: a sentence each. The text is `width` columns wide.
    """
    table = [_table(plan, requests)] if plan is not None else []
    return as_text(*table, *map(Text, notes), width=width, colour=colour)


def _table(plan: LaunchPlan, requests: Mapping[CaseKey, int]) -> Table:
    table = Table(title="plan", title_justify="left", box=None)
    table.add_column("server, workload", no_wrap=True)
    table.add_column("launches", justify="right", no_wrap=True)
    table.add_column("requests", justify="right", no_wrap=True)
    table.add_column("takes", justify="right", no_wrap=True)
    table.add_column("smallest drop it will see")
    for server in plan.servers:
        table.add_row(
            Text(server.server, style="bold"), str(server.starts), "", format_duration(server.seconds), ""
        )
        for workload, launches in server.launches.items():
            cells = [one for one in plan.cells if (one.server, one.workload) == (server.server, workload)]
            each = requests[CaseKey(server.server, workload)]
            table.add_row(f"  {workload}", str(launches), f"{launches} × {each}", "", _sees(cells))
    return table


def _sees(cells: Sequence[CellPlan]) -> str:
    """`decode_tps 2.1%, ttft_s 6.0%; goodput_rps no spread`, or one reason for all of them."""
    told = [f"{cell.metric} {format_percent(cell.drop)}" for cell in cells if cell.drop is not None]
    why = {
        cell.unseen: [one.metric for one in cells if one.unseen == cell.unseen]
        for cell in cells
        if cell.unseen
    }
    if not told and len(why) == 1:
        return next(iter(why))
    unseen = [f"{', '.join(metrics)} {reason}" for reason, metrics in why.items()]
    return "; ".join(([", ".join(told)] if told else []) + unseen)
