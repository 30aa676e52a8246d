"""Past: earlier runs on this machine that cells can be compared with, how long they took, and what they decided."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from tokgate.judge.cell import CellKey
from tokgate.judge.verdict import Outcome
from tokgate.machine.fingerprint import compute_fingerprint_id
from tokgate.store.evidence import LastVerdicts, read_last_verdicts
from tokgate.store.history import Cost, Point, read_costs, read_history
from tokgate.store.runs import RunRecord
from tokgate.store.summary import hash_conditions

NIGHTS = (10, 20)
"""The fewest comparable nights that replace a baseline, and the most that are used."""


class Past:
    """Runs below `out` on the machine of `record`, without that run; read when first needed."""

    def __init__(self, out: Path, record: RunRecord) -> None:
        self._out, self._record = out, record
        self._box = compute_fingerprint_id(record.fingerprint)

    @cached_property
    def costs(self) -> dict[tuple[str, str], Cost]:
        """The seconds of a launch, by server and workload. Raises RecordError."""
        return read_costs(self._out, fingerprint=self._box) if self._out.is_dir() else {}

    @cached_property
    def last(self) -> LastVerdicts:
        """The newest verdict on each cell and hypothesis. Raises RecordError."""
        return read_last_verdicts(self._out, fingerprint=self._box) if self._out.is_dir() else LastVerdicts()

    @cached_property
    def _points(self) -> dict[tuple[str, str, str, str], tuple[Point, ...]]:
        series = read_history(self._out, fingerprint=self._box) if self._out.is_dir() else ()
        return {(cell.server, cell.workload, cell.metric, cell.conditions): cell.points for cell in series}

    def points(self, key: CellKey, *, since: str = "") -> tuple[Point, ...]:
        """The last nights of a cell under today's conditions that were complete, valid and not regressed.

        since: an ISO date; nights before it do not count. Raises RecordError.
        """
        conditions = hash_conditions(self._record.conditions[key.workload])
        good = [
            point
            for point in self._points.get((*key, conditions), ())
            if point.valid
            and point.value > 0
            and point.outcome is not Outcome.REGRESSED
            and point.provenance == "measured"
            and point.run_id != self._record.run_id
            and point.started >= since
        ]
        return tuple(good[-NIGHTS[1] :])
