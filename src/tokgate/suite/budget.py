"""Budget: the time that a run may take, what it is spent on, and which launches still fit into it.

The rotation chooses what is measured tonight. The clock runs from `begin`. A server's plan is made when it starts, with
the time that is left then, and does not change. Servers that a hypothesis compares are launched in mirrored rounds
(A B, B A, …), so that the launches of the gate serve the hypothesis as well. What the rotation left for later runs at
the end, if there is time for as many launches as a verdict needs.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import msgspec

from tokgate.config.words import format_count
from tokgate.judge.cell import CaseKey
from tokgate.judge.plan import MOST_LAUNCHES, Costs, Expected, LaunchPlan, compute_fewest_s, plan_fixed, plan_launches
from tokgate.judge.sequential import FIRST_LOOK
from tokgate.store.runs import Launches, Spending
from tokgate.suite.rotation import Unit, choose

LEAST_BLOCKS = 2
"""Blocks that a hypothesis needs: one leaves too few degrees of freedom to decide."""

MOST_BLOCKS = 10
"""Blocks of a hypothesis: after 20 launches of each arm, more time hardly helps."""


class Budget:
    """The time of one run.

    seconds: in all.
    cells: what may be measured, in the order of servers.
    units: what may be answered, and how urgent it is.
    timed: servers whose times were measured, not estimated.
    family: as for `judge`.
    clock: seconds, monotonic.
    """

    def __init__(
        self,
        seconds: float,
        cells: Sequence[Expected],
        units: Sequence[Unit],
        *,
        timed: frozenset[str],
        family: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.seconds, self.timed, self.family = seconds, timed, family
        self.cells = list(cells)
        self._clock, self._began = clock, clock()
        self.choice = choose(units, Costs(self.cells), seconds)
        self.tonight = frozenset(self.choice.launches)
        self._own_s = {unit.name: unit.own_s for unit in self.choice.tonight if unit.is_hypothesis}
        self._alone_s = {unit.name: unit.alone_s for unit in units if unit.is_hypothesis}
        # The gate and the experiments share the time in proportion to what each needs.
        gate_s = Costs(self.cells).total(self.choice.launches)
        self.gate_s = seconds * gate_s / (gate_s + self._experiments_s()) if gate_s else 0.0
        tonight = self._cells_of_tonight()
        self.plan = self._plan(tonight, self.gate_s)
        if self.plan is None and tonight:
            self.plan = plan_fixed(tonight, self.choice.launches, family=family)
        self.groups = self._group()
        self._planned: dict[str, dict[str, int]] = {}
        self._would_plan: dict[str, dict[str, int]] = {}  # until the next launch: a plan takes a while to compute
        self._used: Counter[CaseKey] = Counter()
        self._first: dict[CaseKey, tuple[float, float]] = {}
        self._late: set[CaseKey] = set()
        self._finished: set[CaseKey] = set()
        self._out: set[CaseKey] = set()

    def begin(self) -> None:
        """Start the clock."""
        self._began = self._clock()

    @property
    def spent_s(self) -> float:
        return self._clock() - self._began

    def rank(self, case: CaseKey, launch: int) -> tuple[int, ...]:
        """The sort key of launches: the quietest servers first, whose time others get; the servers of a group in mirrored
        rounds. What is left for later comes after everything else (1 instead of 0)."""
        if case not in self.tonight:
            later = [case for unit in self.choice.later if not unit.is_hypothesis for case in unit.cases]
            return 1, later.index(case) if case in later else len(later), launch
        group = next(group for group in self.groups if case.server in group)
        place = group.index(case.server)
        mirrored = place if launch % 2 else -place
        return 0, self.groups.index(group), launch, mirrored

    def order(self, hypothesis: str) -> int:
        """The place of a hypothesis among those of the run: the most urgent first."""
        names = [unit.name for unit in (*self.choice.tonight, *self.choice.later) if unit.is_hypothesis]
        return names.index(hypothesis) if hypothesis in names else -1

    def most(self, case: CaseKey) -> int:
        """The most launches that a workload can get, with all the time that others can leave it, and a repeat launch."""
        server, workload = case
        if case not in self.tonight:
            return FIRST_LOOK + 1
        if server not in self.timed:
            return MOST_LAUNCHES + 1
        mine = [cell for cell in self._cells_of_tonight() if cell.server == server]
        others_s = compute_fewest_s(self._cells_of_tonight()) - compute_fewest_s(mine)
        alone = self._plan(mine, self.gate_s - others_s)
        launches = _launches_of(alone, server) if alone else {}
        return max(launches.get(workload, 0), self.planned(server)[workload]) + 1

    def planned(self, server: str) -> dict[str, int]:
        """Launches by workload: as planned when the server started, otherwise as they would be planned now. 0 for what is
        left for later, until it begins."""
        plan = self._planned.get(server) or self._would_plan.get(server)
        if plan is None:
            plan = self._would_plan[server] = self._plan_now(server)
        late = {case.workload: FIRST_LOOK for case in self._late if case.server == server}
        later = {cell.workload: 0 for cell in self.cells if cell.server == server and cell.case not in self.tonight}
        return {**later, **plan, **late}

    def needed(self, case: CaseKey) -> int:
        """Launches that the hypotheses of tonight need of a workload, also when it is decided."""
        return max((unit.launches for unit in self._served() if case in unit.cases), default=0)

    def why_not(self, case: CaseKey, launch: int, *, live: bool, fresh: bool) -> str | None:
        """Why this launch of a workload must not be measured; None when it may be.

        live: whether the server is up in this launch.
        fresh: whether it is a repeat launch to confirm a regression, which may use the rest of the whole budget.
        """
        server, workload = case
        if case not in self.tonight:
            if case not in self._late and self.spent_s + self._takes_late(case) > self.seconds:
                return f"{server} × {workload} is left for another run"
            self._late.add(case)
        if launch > 1 or server in self.timed:
            if server not in self._planned:
                self._planned[server] = self._plan_now(server)
                self._would_plan.clear()
            planned = self._planned[server].get(workload, FIRST_LOOK)
            if launch > planned + fresh:
                return f"the plan has {format_count(planned, 'launch')} of {server} × {workload}"
        limit_s = self.seconds if fresh or case in self._late else self.gate_s
        if self.spent_s + self._takes(case, live=live) > limit_s:
            self._out.add(case)
            return f"the budget is too small for launch {launch} of {server} × {workload}"
        return None

    def learn(self, case: CaseKey, *, startup_s: float, pass_s: float) -> None:
        """Count a launch. Its seconds (above zero) are kept if it is the first one of a server whose times were estimated."""
        self._used[case] += 1
        self._would_plan.clear()
        if case.server in self.timed or case in self._first:
            return
        self._first[case] = startup_s, pass_s
        for at, cell in enumerate(self.cells):
            if cell.server == case.server:
                pass_of_it = pass_s if cell.workload == case.workload else cell.pass_s
                self.cells[at] = msgspec.structs.replace(cell, startup_s=startup_s, pass_s=pass_of_it)

    def finish(self, case: CaseKey) -> None:
        """A workload is decided: the time of its remaining launches is for others."""
        self._finished.add(case)
        self._would_plan.clear()

    def fits(self, what: CaseKey | str) -> bool:
        """Whether a case, or a hypothesis by its name, would fit into this budget alone."""
        units = (*self.choice.tonight, *self.choice.later)
        unit = next(unit for unit in units if what == unit.name or (what in unit.cases and not unit.is_hypothesis))
        return bool(choose([unit], Costs(self.cells), self.seconds).tonight)

    def experiment(self, name: str, *, block: int) -> Callable[[int], bool]:
        """Whether this experiment may go on, by its number of launches so far; asked before each.

        block: launches that count only together. The experiment gets its share of the time that is left, in
        proportion to what it needs, and stops inside a block only when the whole budget is spent. One that has no time
        of its own, because it was left for later or the launches of the gate were to serve it, begins only if there is
        time for all of it.
        """
        began, all_s = self.spent_s, self._experiments_s()
        own_s = self._own_s.pop(name, 0.0)
        rest_s = max(self.seconds - began, 0.0)
        if own_s:
            until, block_s = began + rest_s * own_s / all_s, own_s / LEAST_BLOCKS
        else:
            until, block_s = self.seconds - all_s, self._alone_s.get(name, 0.0)

        def goes_on(launches: int) -> bool:
            spent = self.spent_s
            if launches % block:
                return spent < self.seconds
            expected_s = (spent - began) / launches * block if launches else block_s
            return spent + expected_s <= until

        return goes_on

    def spending(self, used: Mapping[CaseKey, int], decided: frozenset[CaseKey]) -> Spending:
        """For the record. used: measured launches; decided: the cases whose metrics are all decided."""

        def launches(case: CaseKey) -> Launches:
            planned, count = self.planned(case.server)[case.workload], used.get(case, 0)
            stopped: Literal["decided", "planned", "budget"] | None = None
            if planned and count >= planned:
                stopped = "planned"
            elif case in self._out:  # by then, cells that were open at the end are decided, too
                stopped = "budget"
            elif case in decided:
                stopped = "decided"
            return Launches(server=case.server, workload=case.workload, planned=planned, used=count, stopped=stopped)

        known = dict.fromkeys(cell.case for cell in self.cells)
        return Spending(budget_s=self.seconds, spent_s=self.spent_s, launches=tuple(launches(case) for case in known))

    def _cells_of_tonight(self) -> list[Expected]:
        return [cell for cell in self.cells if cell.case in self.tonight]

    def _served(self) -> list[Unit]:
        """The hypotheses of tonight that launches of the gate serve."""
        return [unit for unit in self.choice.tonight if unit.is_hypothesis and unit.cases]

    def _experiments_s(self) -> float:
        """Seconds that the remaining hypotheses of tonight need for launches of their own."""
        return sum(self._own_s.values())

    def _plan(self, cells: Sequence[Expected], seconds: float) -> LaunchPlan | None:
        """The launches of these cells; None where not even the fewest fit."""
        if not cells or seconds < compute_fewest_s(cells):
            return None
        return plan_launches(cells, seconds, family=self.family)

    def _plan_now(self, server: str) -> dict[str, int]:
        """The launches of the workloads of tonight, with the time that is left."""
        waiting = [cell for cell in self._cells_of_tonight() if cell.server not in self._planned]
        waiting.sort(key=lambda cell: cell.server != server)
        names = {cell.server for cell in waiting}
        sunk_s = sum(pass_s for case, (_, pass_s) in self._first.items() if case.server in names)
        sunk_s += sum(
            {case.server: start_s for case, (start_s, _) in self._first.items() if case.server in names}.values()
        )
        plan = self._plan(waiting, self.gate_s - self.spent_s - self._committed_s() + sunk_s)
        # Where not even the fewest fit, the clock ends them.
        fewest = {cell.workload: FIRST_LOOK for cell in waiting if cell.server == server}
        launches = _launches_of(plan, server) if plan else fewest
        return {workload: max(count, self.needed(CaseKey(server, workload))) for workload, count in launches.items()}

    def _committed_s(self) -> float:
        """Seconds of the launches that servers with a plan still have to come."""
        left = {
            CaseKey(server, workload): max(count - self._used[CaseKey(server, workload)], 0)
            for server, launches in self._planned.items()
            for workload, count in launches.items()
            if CaseKey(server, workload) not in self._finished
        }
        return Costs(self.cells).total(left)

    def _takes(self, case: CaseKey, *, live: bool) -> float:
        """Seconds of a pass, and of the start before it."""
        mine = [cell for cell in self.cells if cell.server == case.server]
        start_s = 0.0 if live else max(cell.startup_s for cell in mine)
        return start_s + next(cell.pass_s for cell in mine if cell.workload == case.workload)

    def _takes_late(self, case: CaseKey) -> float:
        """Seconds of as many launches as a verdict needs, next to what else is measured late."""
        open_late = {late: FIRST_LOOK - self._used[late] for late in self._late if self._used[late] < FIRST_LOOK}
        return Costs(self.cells).total({**open_late, case: FIRST_LOOK})

    def _group(self) -> list[list[str]]:
        """The servers of tonight in the order of the plan; those that a hypothesis compares are together."""
        planned = [entry.server for entry in self.plan.servers] if self.plan else []
        servers = list(dict.fromkeys((*planned, *(cell.server for cell in self._cells_of_tonight()))))
        group_of = {server: [server] for server in servers}
        for unit in self._served():
            compared = {case.server for case in unit.cases}
            merged = [server for server in servers if any(server in group_of[other] for other in compared)]
            group_of |= dict.fromkeys(merged, merged)
        return [list(group) for group in dict.fromkeys(tuple(group_of[server]) for server in servers)]


def _launches_of(plan: LaunchPlan, server: str) -> dict[str, int]:
    return next((entry.launches for entry in plan.servers if entry.server == server), {})
