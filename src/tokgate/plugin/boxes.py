"""Results of several boxes: one record and one exit code."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tokgate import __version__
from tokgate.machine.fingerprint import Fingerprint
from tokgate.store.runs import Box, RunRecord

_BROKEN = 6
# A regression is the most urgent; then a box that broke or was lost; then wrong options; then nothing measured.
_MOST_URGENT_FIRST = (1, _BROKEN, 4, 5, 0)


class BoxResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a box sent back at the end of its session.

    host: the box, as written in --tokgate-hosts.
    place: where the box keeps its own record.
    code: the exit code that its session alone would have; None if the connection was lost.
    why: why it ended early; empty if it did not.
    record: its record; None if there is none on this machine.
    """

    host: str
    place: str
    code: int | None
    why: str = ""
    record: RunRecord | None = None


def merge_records(results: Sequence[BoxResult], *, run_id: str, started: str, command: Sequence[str]) -> RunRecord:
    """One record that contains the records of all boxes; `not_checked` lists the boxes that ended early."""
    records = [(result, result.record) for result in results if result.record is not None]
    return RunRecord(
        run_id=run_id,
        started=started,
        tokgate=__version__,
        command=tuple(command),
        profile=", ".join(dict.fromkeys(record.profile for _, record in records)),
        baselines="",
        fingerprint=Fingerprint({}),
        conditions={},
        not_checked=tuple(
            f"{result.host}: {result.why}. Its record up to then: {result.place}" for result in results if result.why
        ),
        boxes=tuple(Box(host=result.host, place=result.place, record=record) for result, record in records),
    )


def choose_exit_code(results: Sequence[BoxResult]) -> int:
    """The most urgent exit code of all boxes."""
    codes = [result.code if result.code in _MOST_URGENT_FIRST else _BROKEN for result in results]
    return min(codes, key=_MOST_URGENT_FIRST.index)
