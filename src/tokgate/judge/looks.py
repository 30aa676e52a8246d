"""Looks: the verdicts of a family of cells whose launches arrive one by one; each verdict is final."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tokgate.judge.cell import Cell, CellKey
from tokgate.judge.gate import confirm, judge, needs_confirmation
from tokgate.judge.plan import all_decided
from tokgate.judge.verdict import Outcome, Verdict


class Looks:
    """The decided cells of a family, and those that wait for the repeat launch that must confirm them.

    family: the number of cells that the whole run judges.
    level: how often, at most, a run with nothing changed may fail.
    Cells may be looked at a few at a time: each step-down stays within the cells of one look, which is never
    less strict than one over all of them.
    """

    def __init__(self, *, family: int, level: float = 0.01) -> None:
        self.decided: dict[CellKey, Verdict] = {}
        self._family, self._level = family, level
        self._awaiting: dict[CellKey, tuple[Cell, Verdict]] = {}

    @property
    def awaiting(self) -> tuple[CellKey, ...]:
        """Cells called regressed that need one more launch before that counts."""
        return tuple(self._awaiting)

    def look(self, cells: Sequence[Cell]) -> None:
        """Judge cells after one more launch; without `planned` the first look is the last.

        Decided cells do not change. The newest launch of a cell that waits for a repeat launch is that launch:
        if it does not confirm the regression, it counts as the plan's next.
        """
        going = [cell for cell in cells if cell.key not in self.decided]
        for cell in going:
            if cell.key in self._awaiting:
                self._conclude(cell, *self._awaiting.pop(cell.key))
        going = [cell for cell in going if cell.key not in self.decided]
        for cell, verdict in zip(going, self._judge(going), strict=True):
            if needs_confirmation(verdict):
                self._awaiting[cell.key] = cell, verdict
            elif all_decided([verdict]) or _is_last(cell):
                self.decided[cell.key] = verdict

    def end(self, cells: Sequence[Cell], *, why: str) -> None:
        """No launch will follow, for a reason that does not depend on the values: decide from the available data.

        why: what prevented the repeat launch of a regression that waits for one; it becomes inconclusive.
        """
        late = [cell for cell in cells if cell.key not in self._awaiting]
        self.look([msgspec.structs.replace(cell, planned=len(cell.current)) for cell in late])
        for cell in cells:
            if cell.key in self._awaiting:
                _, verdict = self._awaiting.pop(cell.key)
                reason = f"{verdict.reason}; but there was no repeat launch to confirm it: {why}"
                self.decided[cell.key] = msgspec.structs.replace(verdict, outcome=Outcome.INCONCLUSIVE, reason=reason)

    def _judge(self, cells: Sequence[Cell]) -> tuple[Verdict, ...]:
        return judge(cells, level=self._level, family=self._family)

    def _conclude(self, cell: Cell, before: Cell, verdict: Verdict) -> None:
        if cell.invalid is not None:
            reason = f"{verdict.reason}; the repeat launch to confirm it was not valid: {cell.invalid}"
            concluded = msgspec.structs.replace(verdict, outcome=Outcome.INVALID, reason=reason)
        else:
            concluded = confirm(verdict, msgspec.structs.replace(cell, planned=before.planned))
        if all_decided([concluded]) or _is_last(before):
            self.decided[cell.key] = concluded


def _is_last(cell: Cell) -> bool:
    """Whether the plan has no launch after these."""
    return cell.planned is None or len(cell.current) >= cell.planned
