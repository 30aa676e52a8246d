"""The result of the last `tokgate doctor --steadiness`, kept in the folder of the records."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tokgate.config.bounds import PAGE_BYTES
from tokgate.config.reading import decode_json, read_file
from tokgate.store.files import write_atomically

FILE = "steadiness.json"


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """A fixed load on one machine, repeated for about a minute.

    machine: id of the machine's fingerprint.
    measured: when it ended; UTC, ISO 8601.
    server: the server that decoded; None where memory was read instead.
    values: one for each repetition: tok/s of each launch of the server, or GB/s.
    disturbed: number of repetitions that do not count, because other programs ran.
    """

    machine: str
    measured: str
    server: str | None
    values: tuple[float, ...]
    disturbed: int


def write_trial(out: Path, trial: Trial) -> None:
    """Keep the result in `out`, instead of an earlier one. Raises RecordError."""
    write_atomically(out / FILE, msgspec.json.format(msgspec.json.encode(trial), indent=1))


def read_trial(out: Path, *, machine: str) -> Trial | None:
    """The result kept in `out`; None if there is none of this machine that can be read."""
    try:
        trial = decode_json(read_file(out / FILE, PAGE_BYTES), Trial)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    return trial if trial.machine == machine else None
