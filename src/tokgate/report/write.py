"""Writing a run's report: record and history in, files out."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from tokgate._exceptions import RecordError
from tokgate.report.headline import Headline
from tokgate.report.view import Report, view
from tokgate.store.files import write_atomically
from tokgate.store.history import Series, list_unreadable, read_history
from tokgate.store.runs import read_run

HTML, MARKDOWN = "report.html", "report.md"


def write_report(
    folder: Path, runs: Path, *, html: Path | None = None, markdown: Path | None = None
) -> Headline:
    """Write the report of the run in `folder` to the files given, if any; returns what it says first.

    runs: the folder of records that are its history. Raises RecordError: the run cannot be read, or a
    file cannot be written.
    """
    record = read_run(folder)
    history, unread = _history(runs)

    @cache  # files side by side share one, for change points are dear
    @cache
    def shown(place: Path) -> Report:
        return view(record, history, folder=os.path.relpath(folder, place), unread=unread)

    if markdown is not None:  # first: a disk without room for 5 MB of plotly.js may have some for the words
        from tokgate.report.markdown import to_markdown

        write_atomically(markdown, to_markdown(shown(markdown.parent)).encode())
    if html is not None:
        from tokgate.report.html import to_html

        write_atomically(html, to_html(shown(html.parent)).encode())
    return shown((markdown or html or folder / HTML).parent).headline


def publish(folder: Path, link: Path) -> Headline:
    """Write both reports of the run in `folder` into it, and make `link` a symbolic link to the folder.

    Raises RecordError: as `write_report`, with the link made all the same; or `link` is there and no link.
    """
    try:
        return write_report(folder, folder.parent, html=folder / HTML, markdown=folder / MARKDOWN)
    finally:
        _link(folder, link)


def _link(folder: Path, link: Path) -> None:
    fresh = link.with_name(f".{link.name}.{folder.name}")
    try:
        if link.exists() and not link.is_symlink():
            raise RecordError("is there already and no symbolic link; name another", path=link)
        fresh.symlink_to(folder.resolve())
        fresh.replace(link)
    except OSError as error:
        raise RecordError(f"cannot be made a link to {folder}: {error.strerror}", path=link) from error


def _history(runs: Path) -> tuple[tuple[Series, ...], tuple[str, ...]]:
    """The series below `runs` and the records that cannot be read; a run elsewhere simply has no history."""
    try:
        return read_history(runs), list_unreadable(runs)
    except RecordError as error:
        return (), (str(error),)
