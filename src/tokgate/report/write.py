"""Writes a run's report: record and history in, files out."""

from __future__ import annotations

import os
from datetime import datetime
from functools import cache
from pathlib import Path

from tokgate._exceptions import RecordError
from tokgate.machine.lease import find_holder
from tokgate.report.headline import Headline
from tokgate.report.view import Report, build_view
from tokgate.store.files import write_atomically
from tokgate.store.history import Series, list_unreadable, read_history
from tokgate.store.runs import RunRecord, read_run

HTML, MARKDOWN = "report.html", "report.md"


def write_report(
    folder: Path,
    runs: Path,
    *,
    html: Path | None = None,
    markdown: Path | None = None,
    running: bool = False,
) -> Headline:
    """Write the report of the run in `folder` to the files given, if any; return its headline.

    runs: the folder of records that are its history. running: whether the run is still in progress.
    Raises RecordError: the run cannot be read, or a file cannot be written.
    """
    record = read_run(folder)
    history, unread = _read_history(runs)

    @cache  # files in the same folder share one view: change points take seconds to compute
    def view_from(place: Path) -> Report:
        return build_view(record, history, folder=os.path.relpath(folder, place), unread=unread, running=running)

    if markdown is not None:  # first: a disk without room for 5 MB of plotly.js may have enough for the text
        from tokgate.report.markdown import to_markdown

        write_atomically(markdown, to_markdown(view_from(markdown.parent)).encode())
    if html is not None:
        from tokgate.report.html import to_html

        write_atomically(html, to_html(view_from(html.parent)).encode())
    return view_from((markdown or html or folder / HTML).parent).headline


def is_running(record: RunRecord) -> bool:
    """Whether the process that writes `record` is alive on this machine: it holds the lease since before the run."""
    holder = find_holder()
    return (
        record.ended is None
        and holder is not None
        and holder.pid != os.getpid()
        and holder.describe == " ".join(record.command)
        and datetime.fromisoformat(holder.since) <= datetime.fromisoformat(record.started)
    )


def publish(folder: Path, link: Path) -> Headline:
    """Write both reports of the run in `folder` into it, and make `link` a symbolic link to the folder.

    Raises RecordError: as `write_report`, but the link is made; or `link` exists and is not a link.
    """
    try:
        return write_report(folder, folder.parent, html=folder / HTML, markdown=folder / MARKDOWN)
    finally:
        _link(folder, link)


def _link(folder: Path, link: Path) -> None:
    fresh = link.with_name(f".{link.name}.{folder.name}")
    try:
        if link.exists() and not link.is_symlink():
            raise RecordError("exists and is not a symbolic link; choose another path", path=link)
        fresh.symlink_to(folder.resolve())
        fresh.replace(link)
    except OSError as error:
        raise RecordError(f"cannot create the link to {folder}: {error.strerror}", path=link) from error


def _read_history(runs: Path) -> tuple[tuple[Series, ...], tuple[str, ...]]:
    """The series below `runs` and the records that cannot be read; without that folder there is no history."""
    try:
        return read_history(runs), list_unreadable(runs)
    except RecordError as error:
        return (), (str(error),)
