"""Tables: columns defined once for terminal, HTML and Markdown, and how a terminal lays them out."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO

import msgspec
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from tokgate.config.words import ABSENT
from tokgate.report.badge import Badge

STYLES = {"good": "green", "bad": "bold red", "unsure": "yellow", "plain": ""}
"""How a terminal shows the tones of badges."""


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One column of a table.

    key: the field of a row that it shows: a text or a badge.
    right: whether it is aligned to the right.
    wide: whether its text is long and may break into lines.
    drop: in a terminal that is too narrow for all columns, those with the highest number are left out first; 0 stays.
    """

    title: str
    key: str
    right: bool = False
    wide: bool = False
    drop: int = 0

    def value(self, row: object) -> str | Badge:
        value: str | Badge = getattr(row, self.key)
        return value

    def text(self, row: object) -> str:
        """The value as text; a badge is its symbol and word."""
        value = self.value(row)
        return f"{value.symbol} {value.word}" if isinstance(value, Badge) else value


def select_filled(columns: Sequence[Column], rows: Sequence[object]) -> tuple[Column, ...]:
    """The columns that have a value in some row."""
    return tuple(column for column in columns if any(column.value(row) not in ("", ABSENT) for row in rows))


def lay_out(
    rows: Sequence[object], columns: Sequence[Column], *, width: int, title: str = "", group: str = ""
) -> Table:
    """`rows` for a terminal of `width` columns, columns left out until the rest fits.

    group: the field whose values stand above their rows instead of in a column of their own.
    Rows with a true field `dim` are grayed out, except for their badge.
    """
    kept = [column for column in select_filled(columns, rows) if column.key != group]
    while True:
        table = _fill(rows, kept, title=title, group=group)
        optional = [column for column in kept if column.drop]
        if not optional or Console(width=10_000).measure(table).maximum <= width:
            return table
        kept.remove(max(optional, key=lambda column: column.drop))


def _fill(rows: Sequence[object], columns: Sequence[Column], *, title: str, group: str) -> Table:
    table = Table(title=Text(title) if title else None, title_justify="left", box=None)
    for at, column in enumerate(columns):
        header = f"{group}, {column.title}" if group and at == 0 else column.title
        table.add_column(
            header,
            justify="right" if column.right else "left",
            no_wrap=not column.wide,
            overflow="fold" if column.wide else "ellipsis",
        )
    above = ""
    for row in rows:
        name = getattr(row, group) if group else ""
        if name != above:
            table.add_row(Text(escape_controls(name), style="bold"))
        above = name
        cells = [_cell(column, row) for column in columns]
        table.add_row(Text("  ").append_text(cells[0]) if group else cells[0], *cells[1:])
    return table


def _cell(column: Column, row: object) -> Text:
    value = column.value(row)
    if isinstance(value, Badge):
        return Text(column.text(row), style=STYLES[value.tone])
    return Text(escape_controls(value), style="dim" if getattr(row, "dim", False) else "")


def render(*parts: Table | Text, width: int, color: bool) -> str:
    """Tables and sentences one below the other, `width` columns wide."""
    console = Console(
        file=StringIO(),
        width=width,
        force_terminal=color,
        no_color=not color,
        highlight=False,
        markup=False,
    )
    with console.capture() as captured:
        console.print(Group(*parts))
    return "\n".join(line.rstrip() for line in captured.get().splitlines()).rstrip()


def escape_controls(text: str) -> str:
    """Foreign text on one line, with its control characters shown instead of obeyed."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )
