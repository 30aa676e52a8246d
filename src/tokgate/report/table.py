"""Tables: columns defined once for terminal, HTML and Markdown, and how a terminal lays them out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from typing import Generic, TypeVar

import msgspec
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from tokgate._printable import escape_line, escape_text
from tokgate.config.words import ABSENT
from tokgate.report.badge import Badge

STYLES = {"good": "green", "bad": "bold red", "unsure": "yellow", "plain": ""}
"""How a terminal shows the tones of badges."""


R = TypeVar("R")


class Column(msgspec.Struct, Generic[R], frozen=True):
    """One column of a table.

    show: the text or the badge that it shows of a row.
    right: whether it is aligned to the right.
    wide: whether its text is long and may break into lines.
    drop: in a terminal that is too narrow for all columns, those with the highest number are left out first; 0 stays.
    """

    title: str
    show: Callable[[R], str | Badge]
    right: bool = False
    wide: bool = False
    drop: int = 0

    def text(self, row: R) -> str:
        """The value as text; a badge is its symbol and word."""
        value = self.show(row)
        return f"{value.symbol} {value.word}" if isinstance(value, Badge) else value


def select_filled(columns: Sequence[Column[R]], rows: Sequence[R]) -> tuple[Column[R], ...]:
    """The columns that have a value in some row."""
    return tuple(column for column in columns if any(column.show(row) not in ("", ABSENT) for row in rows))


def lay_out(rows: Sequence[R], columns: Sequence[Column[R]], *, width: int, title: str = "", group: str = "") -> Table:
    """`rows` for a terminal of `width` columns, columns left out until the rest fits.

    group: the title of the column whose values stand above their rows instead.
    Rows with a true field `dim` are grayed out, except for their badge.
    """
    cells = {column: [_cell(column, row) for row in rows] for column in select_filled(columns, rows)}
    above = next((cells.pop(column) for column in list(cells) if column.title == group), None)
    while True:
        table = _fill(cells, title=title, group=group, above=above)
        optional = [column for column in cells if column.drop]
        if not optional or Console(width=10_000).measure(table).maximum <= width:
            return table
        del cells[max(optional, key=lambda column: column.drop)]


def _fill(cells: Mapping[Column[R], Sequence[Text]], *, title: str, group: str, above: Sequence[Text] | None) -> Table:
    table = Table(title=Text(title) if title else None, title_justify="left", box=None)
    for at, column in enumerate(cells):
        table.add_column(
            f"{group}, {column.title}" if group and at == 0 else column.title,
            justify="right" if column.right else "left",
            no_wrap=not column.wide,
            overflow="fold" if column.wide else "ellipsis",
        )
    for at, (first, *others) in enumerate(zip(*cells.values(), strict=True)):
        if above is None:
            table.add_row(first, *others)
            continue
        if at == 0 or above[at] != above[at - 1]:
            table.add_row(Text(above[at].plain, style="bold"))
        table.add_row(Text("  ").append_text(first), *others)
    return table


def _cell(column: Column[R], row: R) -> Text:
    value = column.show(row)
    if isinstance(value, Badge):
        return Text(column.text(row), style=STYLES[value.tone])
    return Text(escape_line(value), style="dim" if getattr(row, "dim", False) else "")


def render(*parts: Table | Text, width: int, color: bool) -> str:
    """Tables and sentences one below the other, `width` columns wide; sentences may contain external text."""
    safe = [part if isinstance(part, Table) else Text(escape_text(part.plain), part.style) for part in parts]
    console = Console(
        file=StringIO(),
        width=width,
        force_terminal=color,
        no_color=not color,
        highlight=False,
        markup=False,
    )
    with console.capture() as captured:
        console.print(Group(*safe))
    return "\n".join(line.rstrip() for line in captured.get().splitlines()).rstrip()
