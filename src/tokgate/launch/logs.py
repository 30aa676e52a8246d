"""A server's log file, and the error for a server that ended, with the cause from that log."""

from __future__ import annotations

import os
import re
from pathlib import Path

from tokgate import engines
from tokgate._exceptions import ServerExited
from tokgate._secrets import redact
from tokgate.config.bounds import LOG_END_BYTES, LOG_LINE
from tokgate.config.server import ServerSpec
from tokgate.launch.rootcause import describe_exit, find_root_cause


def create_log(log_dir: Path, name: str) -> Path:
    """A new, empty file `NAME-N.log` below log_dir, N counting this server's launches from 1."""
    log_dir.mkdir(parents=True, exist_ok=True)
    stem, number = re.sub(r"[^\w.-]", "_", name), 1
    while True:
        path = log_dir / f"{stem}-{number}.log"
        try:
            path.touch(exist_ok=False)
        except FileExistsError:
            number += 1
        else:
            return path


def read_log(path: Path) -> str:
    """A log as text, without secrets: of a long one its beginning and its end, of a long line its beginning."""
    with path.open("rb") as file:
        beginning = file.read(LOG_END_BYTES)
        file.seek(max(file.seek(0, os.SEEK_END) - LOG_END_BYTES, len(beginning)))
        text = redact((beginning + file.read(LOG_END_BYTES)).decode(errors="replace"))
    return "\n".join(line[:LOG_LINE] for line in text.splitlines())


def exit_error(
    spec: ServerSpec, *, doing: str, exit_code: int | None, log_path: Path, out_of_memory: bool = False
) -> ServerExited:
    """The error for a server that ended. doing: what it was doing, such as "while it started"."""
    cause = find_root_cause(read_log(log_path).splitlines(), engines.find(spec.engine))
    intro = "Its log says" if cause.explains else "Its log shows no error; its last line is"
    explanation = f"{intro}: {cause.line}" if cause.line else "Its log is empty."
    ended = "killed by the kernel: over its memory limit" if out_of_memory else describe_exit(exit_code)
    return ServerExited(
        f"ended {doing} ({ended}). {explanation}\n"
        + (f"Hint: {cause.hint}\n" if cause.hint else "")
        + f"Next: read {log_path}",
        server=spec.name,
        exit_code=exit_code,
        root_cause=cause.line,
        log_path=log_path,
    )
