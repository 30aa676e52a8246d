"""The gates that `error_rates.py` compares, each given the same simulated nights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import msgspec
import numpy as np
from nights import Night
from pytest_benchmark.utils import PercentageRegressionCheck

from tokgate.judge.cell import CaseKey, Cell, Reference
from tokgate.judge.gate import confirm, judge, needs_confirmation
from tokgate.judge.looks import Looks
from tokgate.judge.plan import Expected
from tokgate.judge.sequential import FIRST_LOOK
from tokgate.judge.stats import scatter
from tokgate.judge.verdict import Outcome, Verdict
from tokgate.suite.budget import Budget
from tokgate.suite.rotation import Unit

FAMILY = 20


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A gate's verdicts on one night.

    outcomes: one per cell.
    launches: launches of the first cell, the confirming one included.
    """

    outcomes: tuple[Outcome, ...]
    launches: int


Gate = Callable[[Night], Result]


def tokgate(night: Night) -> Result:
    """All planned launches, then the confirming ones."""
    return _judge(night, _cells(night))


def stopping(night: Night) -> Result:
    """Judge after every launch from the third; a cell stops when it is decided.

    A confirming launch that does not confirm a regression counts as the plan's next launch.
    """
    planned = night.tonight.shape[1]
    ahead = np.column_stack([night.tonight, night.fresh])
    cells = [
        msgspec.structs.replace(cell, workload=str(index), planned=planned) for index, cell in enumerate(_cells(night))
    ]
    looks, spent = Looks(family=FAMILY), 0
    for launches in range(FIRST_LOOK, planned + 2):
        going = [cell for cell in cells if cell.key not in looks.decided]
        if cells[0] in going:
            spent = launches
        looks.look(
            [msgspec.structs.replace(cell, current=tuple(ahead[int(cell.workload), :launches])) for cell in going]
        )
    return _result([looks.decided[cell.key] for cell in cells], spent)


def budgeted(seconds: float) -> Gate:
    """The suite with a budget: cells are workloads, four per server; a start takes 30 s, a pass 20 s.

    Cells without any launch count as inconclusive. The scatter is taken from the baseline itself.
    """

    def gate(night: Night) -> Result:
        now = [0.0]
        values = np.column_stack([night.tonight, night.fresh])
        cells = {
            CaseKey(f"server {index // 4}", str(index)): msgspec.structs.replace(
                cell, server=f"server {index // 4}", workload=str(index), current=()
            )
            for index, cell in enumerate(_cells(night))
        }
        servers = dict.fromkeys(case.server for case in cells)
        units = [
            Unit(name=server, cases=tuple(case for case in cells if case.server == server), launches=FIRST_LOOK)
            for server in servers
        ]
        budget = Budget(
            seconds,
            [_expected(cell) for cell in cells.values()],
            units,
            timed=frozenset(servers),
            family=len(cells),
            clock=lambda: now[0],
        )
        looks, launches, alive = Looks(family=len(cells)), 0, ("", 0)
        order = product(cells, range(1, values.shape[1] + 1))
        for case, launch in sorted(order, key=lambda at: budget.rank(*at)):
            cell, live = cells[case], alive == (case.server, launch)
            if cell.key in looks.decided:
                continue
            if budget.why_not(case, launch, live=live, fresh=cell.key in looks.awaiting) is not None:
                continue
            value = float(values[int(cell.workload), launch - 1])
            pass_s = 20.0 / value
            now[0] += pass_s + (0.0 if live else 30.0)
            alive, launches = (case.server, launch), launches + (cell.workload == "0")
            budget.learn(case, startup_s=30.0, pass_s=pass_s)
            planned = budget.planned(case.server)[cell.workload]
            cells[case] = msgspec.structs.replace(cell, current=(*cell.current, value), planned=planned)
            looks.look([cells[case]])
            if cell.key in looks.decided:
                budget.finish(case)
        looks.end(
            [cell for cell in cells.values() if cell.current and cell.key not in looks.decided],
            why="time",
        )
        verdicts = [looks.decided.get(cell.key) for cell in cells.values()]
        return Result(
            outcomes=tuple(verdict.outcome if verdict else Outcome.INCONCLUSIVE for verdict in verdicts),
            launches=launches,
        )

    return gate


def _expected(cell: Cell) -> Expected:
    assert cell.reference is not None
    return Expected(
        server=cell.server,
        workload=cell.workload,
        metric=cell.metric,
        startup_s=30.0,
        pass_s=20.0,
        tolerance=cell.tolerance,
        promise=cell.promise,
        cv=scatter([cell.reference.values]),
        reference="launches",
        values=len(cell.reference.values),
    )


def history(night: Night) -> Result:
    """Tonight compared with earlier nights instead of launches of one run."""
    cells = [
        msgspec.structs.replace(cell, reference=msgspec.structs.replace(cell.reference, kind="nights"))
        for cell in _cells(night)
        if cell.reference is not None
    ]
    return _judge(night, cells)


def naive(night: Night) -> Result:
    """`assert mean > 0.95 * baseline`, over the same launches."""
    slower = night.tonight.mean(axis=1) < 0.95 * night.baseline.mean(axis=1)
    return _result_of_fails(slower, night.tonight.shape[1])


def benchmark(field: str) -> Gate:
    """pytest-benchmark's own `--benchmark-compare-fail=FIELD:5%`, on the time of every request."""
    check: Any = PercentageRegressionCheck(field, 5)  # type: ignore[no-untyped-call]
    statistic: Any = {"mean": np.mean, "min": np.min}[field]

    def gate(night: Night) -> Result:
        current, compared = (
            statistic(1 / rates.reshape(len(rates), -1), axis=1)
            for rates in (night.tonight_requests, night.baseline_requests)
        )
        fails = [
            check.fails({field: now}, {field: before}) is not None
            for now, before in zip(current, compared, strict=True)
        ]
        return _result_of_fails(fails, night.tonight.shape[1])

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


def _judge(night: Night, cells: Sequence[Cell]) -> Result:
    verdicts = judge(cells, family=FAMILY)
    confirmed = [_confirm(*row) for row in zip(verdicts, cells, night.fresh, strict=True)]
    return _result(confirmed, night.tonight.shape[1] + needs_confirmation(verdicts[0]))


def _confirm(verdict: Verdict, cell: Cell, fresh: float) -> Verdict:
    return confirm(verdict, cell.add_launch(float(fresh))) if needs_confirmation(verdict) else verdict


def _result(verdicts: Sequence[Verdict], launches: int) -> Result:
    return Result(outcomes=tuple(verdict.outcome for verdict in verdicts), launches=launches)


def _result_of_fails(fails: Sequence[bool], launches: int) -> Result:
    outcomes = tuple(Outcome.REGRESSED if failed else Outcome.PASS for failed in fails)
    return Result(outcomes=outcomes, launches=launches)
