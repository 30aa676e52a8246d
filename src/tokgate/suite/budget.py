"""Budget: the time that a run may take, and which launches still fit into it.

The clock runs from `begin`. A server's plan is made when it starts, with the time that is left then, and does
not change. A server whose times are estimates is launched once before anything else, and planned with the time of that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import msgspec

from tokgate.config.words import format_count
from tokgate.judge.cell import CaseKey
from tokgate.judge.plan import MOST_LAUNCHES, Expected, LaunchPlan, compute_fewest_s, plan_launches
from tokgate.judge.sequential import FIRST_LOOK
from tokgate.store.runs import Launches, Spending

LEAST_BLOCKS = 2
"""Blocks that a hypothesis needs: one leaves too few degrees of freedom to decide."""

MOST_BLOCKS = 10
"""Blocks of a hypothesis: after 20 launches of each arm, more time hardly helps."""


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """The plan of the servers that fit into a budget (None if none does), and those that do not fit."""

    plan: LaunchPlan | None
    left_out: tuple[str, ...]

    def launches(self, server: str) -> dict[str, int] | None:
        """By workload; None when the server does not fit."""
        planned = self.plan.servers if self.plan else ()
        return next((entry.launches for entry in planned if entry.server == server), None)


def divide(cells: Sequence[Expected], seconds: float, *, family: int) -> Room:
    """A plan of as many servers as fit, the last ones left out. cells: in the order of servers."""
    servers = tuple(dict.fromkeys(cell.server for cell in cells))
    for count in range(len(servers), 0, -1):
        fitting = [cell for cell in cells if cell.server in servers[:count]]
        if compute_fewest_s(fitting) <= seconds:
            return Room(plan=plan_launches(fitting, seconds, family=family), left_out=servers[count:])
    return Room(plan=None, left_out=servers)


class Budget:
    """The time of one run.

    seconds: in all.
    cells: what will be measured, in the order of servers.
    timed: servers whose times were measured, not estimated.
    blocks_s: expected seconds of a block of each hypothesis.
    family: as for `judge`.
    clock: seconds, monotonic.
    """

    def __init__(
        self,
        seconds: float,
        cells: Sequence[Expected],
        *,
        timed: frozenset[str],
        blocks_s: Mapping[str, float],
        family: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.seconds, self.timed, self.family = seconds, timed, family
        self.cells, self.blocks_s = list(cells), dict(blocks_s)
        self._clock, self._began = clock, clock()
        self._planned: dict[str, dict[str, int]] = {}
        self._first: dict[CaseKey, tuple[float, float]] = {}
        self._out: set[CaseKey] = set()
        # The gate and the experiments share the time in proportion to the least that each needs.
        gate, experiments = compute_fewest_s(self.cells), LEAST_BLOCKS * self._blocks_s()
        self.gate_s = seconds * gate / (gate + experiments) if gate else 0.0
        self.room = divide(self.cells, self.gate_s, family=family)

    def begin(self) -> None:
        """Start the clock."""
        self._began = self._clock()

    @property
    def spent_s(self) -> float:
        return self._clock() - self._began

    def rank(self, server: str, launch: int) -> tuple[int, int, int]:
        """The sort key of launches: first those that show estimated times, then the quietest servers, whose time others get."""
        planned = [entry.server for entry in self.room.plan.servers] if self.room.plan else []
        order = (*planned, *self.room.left_out)
        tells = launch == 1 and server not in self.timed
        return 0 if tells else 1, order.index(server), launch

    def most(self, case: CaseKey) -> int:
        """The most launches that a workload can get, with all the time that others can leave it, and a repeat launch."""
        server, workload = case
        if server not in self.timed:
            return MOST_LAUNCHES + 1
        mine = [cell for cell in self.cells if cell.server == server]
        others = compute_fewest_s(self.cells) - compute_fewest_s(mine)
        alone = divide(mine, self.gate_s - others, family=self.family).launches(server)
        return (alone or self.planned(server))[workload] + 1

    def planned(self, server: str) -> dict[str, int]:
        """Launches by workload: as planned when the server started, otherwise as they would be planned now."""
        if server in self._planned:
            return self._planned[server]
        waiting = [cell for cell in self.cells if cell.server not in self._planned]
        waiting.sort(key=lambda cell: cell.server != server)
        names = {cell.server for cell in waiting}
        sunk = sum(pass_s for case, (_, pass_s) in self._first.items() if case.server in names)
        sunk += sum({case.server: start for case, (start, _) in self._first.items() if case.server in names}.values())
        launches = divide(waiting, self.gate_s - self.spent_s + sunk, family=self.family).launches(server)
        # Where not even the fewest fit, the clock ends them.
        return launches or {cell.workload: FIRST_LOOK for cell in waiting if cell.server == server}

    def why_not(self, case: CaseKey, launch: int, *, live: bool, fresh: bool) -> str | None:
        """Why this launch of a workload must not be measured; None when it may be.

        live: whether the server is up in this launch.
        fresh: whether it is a repeat launch to confirm a regression, which may use the rest of the whole budget.
        """
        server, workload = case
        if launch > 1 or server in self.timed:
            planned = self._planned.setdefault(server, self.planned(server))[workload]
            if launch > planned + fresh:
                return f"the plan has {format_count(planned, 'launch')} of {server} × {workload}"
        if self.spent_s + self._takes(case, live=live) > (self.seconds if fresh else self.gate_s):
            self._out.add(case)
            return f"the budget is too small for launch {launch} of {server} × {workload}"
        return None

    def _takes(self, case: CaseKey, *, live: bool) -> float:
        """Seconds of a pass, and of the start before it."""
        mine = [cell for cell in self.cells if cell.server == case.server]
        start_s = 0.0 if live else max(cell.startup_s for cell in mine)
        return start_s + next(cell.pass_s for cell in mine if cell.workload == case.workload)

    def learn(self, case: CaseKey, *, startup_s: float, pass_s: float) -> None:
        """Keep the seconds (above zero) that the first launch of a server took whose times were estimated."""
        if case.server in self.timed or case in self._first:
            return
        self._first[case] = startup_s, pass_s
        for at, cell in enumerate(self.cells):
            if cell.server == case.server:
                pass_of_it = pass_s if cell.workload == case.workload else cell.pass_s
                self.cells[at] = msgspec.structs.replace(cell, startup_s=startup_s, pass_s=pass_of_it)

    def experiment(self, name: str, *, block: int) -> Callable[[int], bool]:
        """Whether this experiment may go on, by its number of launches so far; asked before each.

        block: launches that count only together. The experiment gets its share of the time that is left, in
        proportion to its blocks, and stops inside a block only when the whole budget is spent.
        """
        began, all_s, expected_s = self.spent_s, self._blocks_s(), self.blocks_s.pop(name)
        share = (all_s - self._blocks_s()) / all_s if all_s else 1.0
        until = began + max(self.seconds - began, 0.0) * share

        def goes_on(launches: int) -> bool:
            spent = self.spent_s
            if launches % block:
                return spent < self.seconds
            block_s = (spent - began) / launches * block if launches else expected_s
            return spent + block_s <= until

        return goes_on

    def _blocks_s(self) -> float:
        """Seconds of one block of each remaining hypothesis."""
        return sum(self.blocks_s.values())

    def spending(self, used: Mapping[CaseKey, int], decided: frozenset[CaseKey]) -> Spending:
        """For the record. used: measured launches; decided: the cases whose metrics are all decided."""

        def launches(case: CaseKey) -> Launches:
            plan = self._planned.get(case.server) or self.room.launches(case.server) or {}
            planned, count = plan.get(case.workload, 0), used.get(case, 0)
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
