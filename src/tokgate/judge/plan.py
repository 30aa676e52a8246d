"""How many launches each server gets out of a budget of time, and what each cell will then see.

Servers come quietest first. When a server is `finished` before its planned launches, plan what has not
started again with the time that is left: so the quiet ones' saved time reaches the noisy ones, and no
server's plan changes once it is being looked at.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import msgspec

from tokgate.judge.gate import SCREEN
from tokgate.judge.power import POWER, gate_drop
from tokgate.judge.sequential import FIRST_LOOK
from tokgate.judge.stats import welch_error
from tokgate.judge.verdict import Outcome, Verdict

MOST_LAUNCHES = 20
BASELINE_LAUNCHES = 10  # what a baseline should hold, and is taken to where there is none yet
KEPT = 0.95  # the probability with which a drop as large as its promise should be found


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a cell before it runs.

    startup_s: until its server is ready; pass_s: warm-up and timed requests of its workload, on one launch.
    cv: scatter of the metric between launches (between nights for a reference of nights), from history.
    reference: what the baseline offers, None without one; values: how many it holds.
    """

    server: str
    workload: str
    metric: str
    startup_s: float
    pass_s: float
    tolerance: float
    promise: float
    cv: float | None = None
    reference: Literal["launches", "nights", "figure"] | None = None
    values: int = 0


class CellPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A cell's launches and the smallest drop (fraction) it will see at 80 % power; None where it can see none."""

    server: str
    workload: str
    metric: str
    launches: int
    drop: float | None


class ServerPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A server's launches, and the seconds they take in all."""

    server: str
    launches: int
    seconds: float


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What will be run, in this order. fits: whether the budget holds even the fewest launches."""

    servers: tuple[ServerPlan, ...]
    cells: tuple[CellPlan, ...]
    total_s: float
    fits: bool


def plan(cells: Sequence[Expected], budget_s: float, *, level: float = 0.01, family: int = 0) -> Plan:
    """Three launches for every server, then one more for whichever keeps its promises worst, while time lasts.

    It ends when every promise is kept in 95 of 100 runs, every server has 20 launches, or no launch fits.
    Where history holds no scatter, half the promise is assumed. level, family: as for `judge`.
    Raises ValueError: no cells, a time or scatter that is not finite and above zero, an empty reference.
    """
    _check(cells, budget_s)
    share = level / max(family, len(cells))
    by_server: dict[str, list[Expected]] = {}
    for cell in cells:
        by_server.setdefault(cell.server, []).append(cell)
    cost = {server: _launch_s(mine) for server, mine in by_server.items()}
    launches = dict.fromkeys(by_server, FIRST_LOOK)
    left = budget_s - sum(cost.values()) * FIRST_LOOK

    def need(server: str) -> float:
        return max(_need(cell, launches[server], share) for cell in by_server[server])

    while takers := [
        server
        for server in by_server
        if cost[server] <= left and launches[server] < MOST_LAUNCHES and need(server) > 1
    ]:
        worst = max(takers, key=need)
        launches[worst] += 1
        left -= cost[worst]
    order = sorted(by_server, key=need)
    return Plan(
        servers=tuple(
            ServerPlan(server=server, launches=launches[server], seconds=launches[server] * cost[server])
            for server in order
        ),
        cells=tuple(_cell_plan(cell, launches[cell.server], share) for cell in cells),
        total_s=budget_s - left,
        fits=left >= 0,
    )


def finished(verdicts: Sequence[Verdict]) -> bool:
    """Whether a server's cells are all decided, so that its remaining launches can be saved.

    A cell without a baseline never is: its launches are the next baseline.
    """
    return not any(verdict.outcome in {Outcome.INCONCLUSIVE, Outcome.NO_BASELINE} for verdict in verdicts)


def _check(cells: Sequence[Expected], budget_s: float) -> None:
    if not cells:
        raise ValueError("no cells to plan")
    for cell in cells:
        what = f"{cell.server} x {cell.workload}"
        for name in ("startup_s", "pass_s", "cv"):
            value = getattr(cell, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name} of {what} is {value!r}; it must be finite and above zero")
        if cell.reference is not None and cell.values < 1:
            raise ValueError(f"the reference of {what} holds {cell.values} values; without any it is None")
    if not (math.isfinite(budget_s) and budget_s > 0):
        raise ValueError(f"a budget is a finite number of seconds above zero, got {budget_s!r}")


def _launch_s(cells: Sequence[Expected]) -> float:
    """Seconds of one launch: its start, and each of its workloads once."""
    return max(cell.startup_s for cell in cells) + sum(
        {cell.workload: cell.pass_s for cell in cells}.values()
    )


def _need(cell: Expected, launches: int, share: float) -> float:
    """How many times its promise the drop is that the cell sees; above 1 it is not kept.

    0 where launches are no help: against a history of nights, or a baseline without a spread.
    """
    seen = _seen(cell, launches, share, power=KEPT)
    return 0.0 if cell.reference == "nights" or seen is None else seen / cell.promise


def _seen(cell: Expected, launches: int, share: float, *, power: float) -> float | None:
    """The smallest drop the gate will find in the cell; without a baseline, in its next one."""
    variance = math.log1p((cell.promise / 2 if cell.cv is None else cell.cv) ** 2)

    def error(n: int) -> tuple[float, float]:
        match cell.reference:
            case "nights" if cell.values < 2:
                return math.inf, 1.0
            case "nights":
                return math.sqrt(variance * (1 + 1 / cell.values)), cell.values - 1
            case "figure":
                return math.sqrt(variance / n), n - 1
        return welch_error(
            variance, n, variance, BASELINE_LAUNCHES if cell.reference is None else cell.values
        )

    return gate_drop(
        error,
        launches,
        screen=SCREEN * share,
        share=share,
        limit=math.log1p(-cell.tolerance) if cell.reference == "figure" else 0.0,
        tolerance=cell.tolerance,
        power=power,
    )


def _cell_plan(cell: Expected, launches: int, share: float) -> CellPlan:
    return CellPlan(
        server=cell.server,
        workload=cell.workload,
        metric=cell.metric,
        launches=launches,
        drop=None if cell.reference is None else _seen(cell, launches, share, power=POWER),
    )
