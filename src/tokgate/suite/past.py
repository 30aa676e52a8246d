"""Past: earlier runs on this machine that cells can be compared with, how long they took, and what they decided."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from tokgate.judge.cell import CellKey
from tokgate.judge.verdict import Outcome
from tokgate.machine.fingerprint import compute_fingerprint_id
from tokgate.store.evidence import LastVerdicts, read_last_verdicts
from tokgate.store.history import Cost, Point, Series, read_costs, read_history
from tokgate.store.identity import Identity, is_wanted
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
        if not self._out.is_dir():
            return {}
        return read_costs(self._out, fingerprint=self._box, identities=self._record.identities)

    @cached_property
    def last(self) -> LastVerdicts:
        """The newest verdict on each cell and hypothesis. Raises RecordError."""
        if not self._out.is_dir():
            return LastVerdicts()
        return read_last_verdicts(self._out, fingerprint=self._box, identities=self._record.identities)

    @cached_property
    def _series(self) -> dict[tuple[str, str, str, str], list[Series]]:
        groups: dict[tuple[str, str, str, str], list[Series]] = {}
        for series in read_history(self._out, fingerprint=self._box) if self._out.is_dir() else ():
            groups.setdefault((series.server, series.workload, series.metric, series.conditions), []).append(series)
        return groups

    def points(self, key: CellKey, *, since: str = "", identity: Identity | None = None) -> tuple[Point, ...]:
        """The last nights of a cell under today's conditions that were complete, valid and not regressed.

        since: an ISO date; nights before it do not count.
        identity: of the live server; None before it is started.
        Raises RecordError.
        """
        wanted = self._record.identities if identity is None else {key.server: identity}
        conditions = hash_conditions(self._record.conditions[key.workload])
        good = [
            point
            for series in self._series.get((*key, conditions), ())
            if is_wanted(key.server, series.identity, wanted)
            for point in series.points
            if point.valid
            and point.value > 0
            and point.outcome is not Outcome.REGRESSED
            and point.provenance == "measured"
            and point.run_id != self._record.run_id
            and point.started >= since
        ]
        return tuple(sorted(good, key=lambda point: point.started)[-NIGHTS[1] :])
