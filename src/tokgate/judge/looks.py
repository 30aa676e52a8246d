"""Looks: the verdicts of a family whose launches come in one by one, each given once."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tokgate.judge.cell import Cell, CellKey
from tokgate.judge.gate import confirm, judge, needs_confirmation
from tokgate.judge.plan import finished
from tokgate.judge.verdict import Outcome, Verdict


class Looks:
    """What is decided of a family of cells, and what awaits the fresh launch that must reproduce it.

    family: how many cells the whole run judges. Cells may be looked at a few at a time: each step-down
    stays within the cells of one look, which is never less strict than one over all of them.
    """

    def __init__(self, *, family: int, level: float = 0.01) -> None:
        self.decided: dict[CellKey, Verdict] = {}
        self._family, self._level = family, level
        self._awaiting: dict[CellKey, tuple[Cell, Verdict]] = {}

    @property
    def awaiting(self) -> tuple[CellKey, ...]:
        """Cells called regressed that need one launch more before it may count."""
        return tuple(self._awaiting)

    def look(self, cells: Sequence[Cell]) -> None:
        """Judge cells one launch further; without `planned` the first look is the last.

        What is decided already stays. The newest launch of a cell that awaits one is that launch: if it
        does not bear the regression out, the cell goes on with it as the plan's next.
        """
        going = [cell for cell in cells if cell.key not in self.decided]
        for cell in going:
            if cell.key in self._awaiting:
                self._conclude(cell, *self._awaiting.pop(cell.key))
        going = [cell for cell in going if cell.key not in self.decided]
        for cell, verdict in zip(going, self._judge(going), strict=True):
            if needs_confirmation(verdict):
                self._awaiting[cell.key] = cell, verdict
            elif finished([verdict]) or _is_last(cell):
                self.decided[cell.key] = verdict

    def end(self, cells: Sequence[Cell], *, why: str) -> None:
        """No launch will follow, for a reason that has nothing to do with the figures: decide by what is there.

        why: what kept the fresh launch from a regression that awaits it; such a one is inconclusive.
        """
        late = [cell for cell in cells if cell.key not in self._awaiting]
        self.look([msgspec.structs.replace(cell, planned=len(cell.current)) for cell in late])
        for cell in cells:
            if cell.key in self._awaiting:
                _, verdict = self._awaiting.pop(cell.key)
                reason = f"{verdict.reason}; but no fresh launch could reproduce it: {why}"
                self.decided[cell.key] = msgspec.structs.replace(
                    verdict, outcome=Outcome.INCONCLUSIVE, reason=reason
                )

    def _judge(self, cells: Sequence[Cell]) -> tuple[Verdict, ...]:
        return judge(cells, level=self._level, family=self._family)

    def _conclude(self, cell: Cell, before: Cell, verdict: Verdict) -> None:
        if cell.invalid is not None:
            reason = f"{verdict.reason}; the fresh launch to confirm it was not valid: {cell.invalid}"
            concluded = msgspec.structs.replace(verdict, outcome=Outcome.INVALID, reason=reason)
        else:
            concluded = confirm(verdict, before, cell.current[-1])
        if finished([concluded]) or _is_last(before):
            self.decided[cell.key] = concluded


def _is_last(cell: Cell) -> bool:
    """Whether the plan holds no launch after these."""
    return cell.planned is None or len(cell.current) >= cell.planned
