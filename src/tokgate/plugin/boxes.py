"""Boxes: the runs of many boxes as one."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tokgate import __version__
from tokgate.machine.fingerprint import Fingerprint
from tokgate.store.runs import Box, RunRecord

_BROKEN = 6
_WORST_FIRST = (1, _BROKEN, 4, 5, 0)


class Returned(msgspec.Struct, frozen=True, kw_only=True):
    """What came back from a box. host: as it was named; place: where its own record lies.

    code: the exit code its session would have had alone, None when the box was lost; why: it ended early, empty
    when it did not; record: None where there is none to be had here.
    """

    host: str
    place: str
    code: int | None
    why: str = ""
    record: RunRecord | None = None


def merged(returned: Sequence[Returned], *, run_id: str, started: str, command: Sequence[str]) -> RunRecord:
    """One record of all boxes; what became of those that were cut off is said in `not_checked`."""
    kept = [(one, one.record) for one in returned if one.record is not None]
    return RunRecord(
        run_id=run_id,
        started=started,
        tokgate=__version__,
        command=tuple(command),
        profile=", ".join(dict.fromkeys(record.profile for _, record in kept)),
        baselines="",
        fingerprint=Fingerprint({}),
        conditions={},
        not_checked=tuple(
            f"{one.host}: {one.why}. What it recorded until then: {one.place}" for one in returned if one.why
        ),
        boxes=tuple(Box(host=one.host, place=one.place, record=record) for one, record in kept),
    )


def worst(returned: Sequence[Returned]) -> int:
    """The exit code of all: a regression before what is broken or was lost, that before what measured nothing."""
    codes = [one.code if one.code in _WORST_FIRST else _BROKEN for one in returned]
    return min(codes, key=_WORST_FIRST.index)
