"""The gates that are compared, each given the same simulated nights."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import numpy as np
from nights import Night
from pytest_benchmark.utils import PercentageRegressionCheck

from tokgate.judge.gate import Cell, Reference, confirm, judge, needs_confirmation
from tokgate.judge.plan import finished
from tokgate.judge.sequential import FIRST_LOOK
from tokgate.judge.verdict import Outcome, Verdict

FAMILY = 20


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What a gate said of each cell of a night, and the launches the first cost, a fresh one included."""

    outcomes: tuple[Outcome, ...]
    launches: int


Gate = Callable[[Night], Said]


def tokgate(night: Night) -> Said:
    """All planned launches, then the fresh ones."""
    return _judged(night, _cells(night))


def stopping(night: Night) -> Said:
    """Judged after every launch from the third; a cell stops when it is decided.

    A fresh launch that does not bear a regression out is the plan's next launch.
    """
    whole, planned = _cells(night), night.tonight.shape[1]
    ahead = np.column_stack([night.tonight, night.fresh])
    ended: dict[int, tuple[Verdict, int]] = {}
    for launches in range(FIRST_LOOK, planned + 1):
        going = [index for index in range(len(whole)) if index not in ended]
        cells = [
            msgspec.structs.replace(whole[index], current=whole[index].current[:launches], planned=planned)
            for index in going
        ]
        verdicts = judge(cells, family=FAMILY)
        for index, cell, verdict in zip(going, cells, verdicts, strict=True):
            concluded = _fresh(verdict, cell, ahead[index, launches])
            if finished([concluded]) or launches == planned:
                ended[index] = concluded, launches + needs_confirmation(verdict)
    return _said([ended[index][0] for index in range(len(whole))], ended[0][1])


def history(night: Night) -> Said:
    """Tonight against as many nights before."""
    cells = [
        msgspec.structs.replace(cell, reference=msgspec.structs.replace(cell.reference, kind="nights"))
        for cell in _cells(night)
    ]
    return _judged(night, cells)


def naive(night: Night) -> Said:
    """`assert mean > 0.95 * baseline`, over the same launches."""
    slower = night.tonight.mean(axis=1) < 0.95 * night.baseline.mean(axis=1)
    return _said_fails(slower, night.tonight.shape[1])


def benchmark(field: str) -> Gate:
    """pytest-benchmark's own `--benchmark-compare-fail=FIELD:5%`, on the time of every request."""
    check = PercentageRegressionCheck(field, 5)
    statistic = {"mean": np.mean, "min": np.min}[field]

    def gate(night: Night) -> Said:
        current, compared = (
            statistic(1 / rates.reshape(len(rates), -1), axis=1)
            for rates in (night.tonight_requests, night.baseline_requests)
        )
        fails = [
            check.fails({field: one}, {field: other}) is not None
            for one, other in zip(current, compared, strict=True)
        ]
        return _said_fails(fails, night.tonight.shape[1])

    return gate


def _cells(night: Night) -> list[Cell]:
    return [
        Cell(
            server="server",
            workload="workload",
            metric="decode_tps",
            current=tuple(current),
            reference=Reference(kind="launches", values=tuple(baseline), label="the baseline, 10 launches"),
            invalid=None,
            tolerance=0.03,
            promise=0.05,
        )
        for current, baseline in zip(night.tonight.tolist(), night.baseline.tolist(), strict=True)
    ]


def _judged(night: Night, cells: Sequence[Cell]) -> Said:
    verdicts = judge(cells, family=FAMILY)
    concluded = [_fresh(*one) for one in zip(verdicts, cells, night.fresh, strict=True)]
    return _said(concluded, night.tonight.shape[1] + needs_confirmation(verdicts[0]))


def _fresh(verdict: Verdict, cell: Cell, fresh: float) -> Verdict:
    return confirm(verdict, cell, float(fresh)) if needs_confirmation(verdict) else verdict


def _said(verdicts: Sequence[Verdict], launches: int) -> Said:
    return Said(outcomes=tuple(verdict.outcome for verdict in verdicts), launches=launches)


def _said_fails(fails: Sequence[bool], launches: int) -> Said:
    return Said(
        outcomes=tuple(Outcome.REGRESSED if one else Outcome.PASS for one in fails), launches=launches
    )
