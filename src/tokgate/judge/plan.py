"""The number of launches that a budget of time gives each workload of each server, and what each cell can then detect.

A workload may be driven on fewer launches than its server has starts, so that noisy workloads get more time.
The quietest servers come first. A server that is decided (`all_decided`) before its planned launches leaves its
time to the servers that have not started: plan those again. No plan changes once it is being looked at.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, get_args

import msgspec

from tokgate.judge.cell import CaseKey, ReferenceKind
from tokgate.judge.gate import SCREEN
from tokgate.judge.power import POWER, gate_drop
from tokgate.judge.sequential import FIRST_LOOK
from tokgate.judge.stats import mean_error
from tokgate.judge.verdict import Outcome, Verdict

MOST_LAUNCHES = 20
"""Of a workload: against a baseline of 10 launches, more than twice as many hardly detect smaller drops."""

BASELINE_LAUNCHES = 10
"""Launches that a baseline should have; assumed where there is none yet."""

KEPT = 0.95
"""The probability with which a drop as large as its promise should be detected."""


Source = Literal["measured", "reported", "roofline", "assumed"]
"""What an expected time is based on, best first: runs of this machine; otherwise the token counts, with the rate in
the server's baseline, with what the chip allows, or with what an unknown machine or model is assumed to reach."""


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about a cell before it runs.

    startup_s: seconds until its server is ready.
    pass_s: seconds of warm-up and timed requests of its workload, on one launch.
    source: what the less certain of these two times is based on.
    tolerance, promise: as of a `Cell`.
    cv: scatter of the metric between launches (between nights for a reference of nights, of the ratio between
        launch pairs), from history.
    reference: kind of the reference; None without one.
    values: the number of values in the reference.
    """

    server: str
    workload: str
    metric: str
    startup_s: float
    pass_s: float
    tolerance: float
    promise: float
    cv: float | None = None
    reference: ReferenceKind | None = None
    values: int = 0
    source: Source = "measured"

    @property
    def case(self) -> CaseKey:
        return CaseKey(self.server, self.workload)


class CellPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A cell's launches, and the smallest drop that it will detect at 80 % power.

    drop: a fraction, up to 1 for "only a complete stop"; None where it is unknown.
    assumed: whether the scatter that it is computed from is assumed, because no run shows it.
    unseen: why `drop` is None; else empty.
    """

    server: str
    workload: str
    metric: str
    launches: int
    drop: float | None
    assumed: bool = False
    unseen: str = ""


class ServerPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A server's starts, the launches that drive each of its workloads, and the seconds that all of it takes.

    source: what the least certain of its times is based on.
    """

    server: str
    starts: int
    launches: dict[str, int]
    seconds: float
    source: Source = "measured"


class LaunchPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What will run, in this order. total_s exceeds the budget where that is less than `compute_fewest_s`."""

    servers: tuple[ServerPlan, ...]
    cells: tuple[CellPlan, ...]
    total_s: float


def plan_launches(cells: Sequence[Expected], budget_s: float, *, level: float = 0.01, family: int = 0) -> LaunchPlan:
    """Three launches for every workload, then one more for the one that is worst at its promise, while time lasts.

    It ends when every promise is kept in 95 of 100 runs, every workload has 20 launches, or no launch fits.
    One launch of the slowest server is reserved, so that a regression can be confirmed. Where the history shows
    no scatter, half the promise is assumed.

    budget_s: in seconds.
    level, family: as for `judge`.
    Raises ValueError: no cells, a time or scatter that is not finite and above zero, an empty reference.
    """
    share = _share(cells, level, family)
    if not (math.isfinite(budget_s) and budget_s > 0):
        raise ValueError(f"a budget must be a finite number of seconds above zero, got {budget_s!r}")
    costs = Costs(cells)
    launches = dict.fromkeys(costs.passes, FIRST_LOOK)
    left = budget_s - costs.total(launches) - max(costs.launch(server) for server in costs.startups)

    def need(case: CaseKey) -> float:
        mine = [cell for cell in cells if cell.case == case]
        return max(_need(cell, launches[case], share) for cell in mine)

    needs = {case: need(case) for case in launches}
    while takers := [
        case
        for case in launches
        if needs[case] > 1 and launches[case] < MOST_LAUNCHES and costs.one_more(case, launches) <= left
    ]:
        worst = max(takers, key=lambda case: needs[case])
        left -= costs.one_more(worst, launches)
        launches[worst] += 1
        needs[worst] = need(worst)
    return _plan(cells, costs, launches, needs=needs, share=share)


def plan_fixed(
    cells: Sequence[Expected], launches: int | Mapping[CaseKey, int], *, level: float = 0.01, family: int = 0
) -> LaunchPlan:
    """These launches of each case, in the order of `cells`: what a run without a budget does.

    launches: by case, or the same number of all.
    Raises ValueError as `plan` does.
    """
    share = _share(cells, level, family)
    costs = Costs(cells)
    counts = dict.fromkeys(costs.passes, launches) if isinstance(launches, int) else launches
    return _plan(cells, costs, counts, needs=dict.fromkeys(costs.passes, 0.0), share=share)


def compute_fewest_s(cells: Sequence[Expected]) -> float:
    """Seconds of three launches of everything, with fewer nothing can be decided; 0 without cells."""
    costs = Costs(cells)
    return costs.total(dict.fromkeys(costs.passes, FIRST_LOOK))


def find_least_certain(sources: Iterable[Source]) -> Source:
    """The least certain of these sources, at least one."""
    return max(sources, key=get_args(Source).index)


def all_decided(verdicts: Sequence[Verdict]) -> bool:
    """Whether all of these cells are decided, so that their remaining launches can be saved.

    A cell without a baseline is never decided: its launches are the next baseline.
    """
    return not any(verdict.outcome in {Outcome.INCONCLUSIVE, Outcome.NO_BASELINE} for verdict in verdicts)


class Costs:
    """The seconds that a start of each server and a pass of each of its workloads take."""

    def __init__(self, cells: Sequence[Expected]) -> None:
        self.passes: dict[CaseKey, float] = {cell.case: cell.pass_s for cell in cells}
        self.startups: dict[str, float] = {}
        for cell in cells:
            self.startups[cell.server] = max(cell.startup_s, self.startups.get(cell.server, 0.0))

    def launch(self, server: str) -> float:
        """A launch that drives every workload of the server."""
        return self.startups[server] + sum(s for case, s in self.passes.items() if case.server == server)

    def one_more(self, case: CaseKey, launches: Mapping[CaseKey, int]) -> float:
        """A pass, and a start too unless another workload already needs one."""
        start = launches[case] == self.starts(case.server, launches)
        return self.passes[case] + (self.startups[case.server] if start else 0.0)

    def starts(self, server: str, launches: Mapping[CaseKey, int]) -> int:
        return max((count for case, count in launches.items() if case.server == server), default=0)

    def seconds(self, server: str, launches: Mapping[CaseKey, int]) -> float:
        passes = sum(count * self.passes[case] for case, count in launches.items() if case.server == server)
        return self.starts(server, launches) * self.startups[server] + passes

    def total(self, launches: Mapping[CaseKey, int]) -> float:
        return sum(self.seconds(server, launches) for server in self.startups)


def _plan(
    cells: Sequence[Expected],
    costs: Costs,
    launches: Mapping[CaseKey, int],
    *,
    needs: Mapping[CaseKey, float],
    share: float,
) -> LaunchPlan:
    worst = {server: max(need for case, need in needs.items() if case.server == server) for server in costs.startups}
    return LaunchPlan(
        servers=tuple(
            ServerPlan(
                server=server,
                starts=costs.starts(server, launches),
                launches={workload: count for (name, workload), count in launches.items() if name == server},
                seconds=costs.seconds(server, launches),
                source=find_least_certain(cell.source for cell in cells if cell.server == server),
            )
            for server in sorted(worst, key=lambda server: worst[server])
        ),
        cells=tuple(_cell_plan(cell, launches[cell.case], share) for cell in cells),
        total_s=costs.total(launches),
    )


def _share(cells: Sequence[Expected], level: float, family: int) -> float:
    """The part of the error that each cell gets in any case. Raises ValueError for cells that cannot be planned."""
    if not cells:
        raise ValueError("no cells to plan")
    for cell in cells:
        what = f"{cell.server} x {cell.workload}"
        for name in ("startup_s", "pass_s", "cv"):
            value = getattr(cell, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name} of {what} is {value!r}; it must be finite and above zero")
        if cell.reference is not None and cell.values < 1:
            raise ValueError(f"the reference of {what} has {cell.values} values; it must be None without values")
    return level / max(family, len(cells))


def _need(cell: Expected, launches: int, share: float) -> float:
    """The smallest detectable drop over the promise; above 1 the promise is not kept.

    0 where more launches do not help: with a history of nights, a baseline of unknown scatter, or enough
    launches for the next baseline.
    """
    if cell.reference is None and launches >= BASELINE_LAUNCHES:
        return 0.0
    seen = _seen(cell, launches, share, power=KEPT)
    return 0.0 if cell.reference == "nights" or seen is None else seen / cell.promise


def _seen(cell: Expected, launches: int, share: float, *, power: float) -> float | None:
    """The smallest drop that the gate will detect in the cell; without a baseline, compared with its next one."""
    variance = math.log1p((cell.promise / 2 if cell.cv is None else cell.cv) ** 2)

    def error(n: int) -> tuple[float, float]:
        match cell.reference:
            case "nights" if cell.values < 2:
                return math.inf, 1.0
            case "nights":
                return math.sqrt(variance * (1 + 1 / cell.values)), cell.values - 1
            case "figure" | "pairs":
                return math.sqrt(variance / n), n - 1
        return mean_error((variance, n), (variance, BASELINE_LAUNCHES if cell.reference is None else cell.values))

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
    drop, unseen = None, ""
    if cell.reference is None:
        unseen = "no baseline"
    else:
        drop = _seen(cell, launches, share, power=POWER)
        unseen = "" if drop is not None else "no spread"
    return CellPlan(
        server=cell.server,
        workload=cell.workload,
        metric=cell.metric,
        launches=launches,
        drop=drop,
        assumed=drop is not None and cell.cv is None,
        unseen=unseen,
    )
