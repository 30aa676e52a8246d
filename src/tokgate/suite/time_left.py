"""TimeLeft: how much of a run is done, and about how long the rest takes."""

from __future__ import annotations

from collections import defaultdict
from statistics import mean

from tokgate.judge.cell import CaseKey
from tokgate.store.runs import is_cell
from tokgate.suite.budget import Budget
from tokgate.suite.estimate import Estimates
from tokgate.suite.observer import Step


class TimeLeft:
    """Counts the passes of a run, and estimates the time of those to come: as long as in this run so far, otherwise
    as estimated before it.

    launches: of each server, without a budget.
    blocks: of each hypothesis, without a budget.
    """

    def __init__(self, estimates: Estimates, budget: Budget | None, *, launches: int, blocks: int) -> None:
        self._budget, self._launches = budget, launches
        self._expected = {cell.case: cell for cell in estimates.cells}
        self._hypotheses_s = {name: time.seconds(blocks) for name, time in estimates.experiments.items()}
        self._startups: dict[str, list[float]] = defaultdict(list)
        self._passes: dict[CaseKey, list[float]] = defaultdict(list)

    @property
    def done(self) -> int:
        """Passes of the gate so far."""
        return sum(len(self._passes[case]) for case in self._expected)

    @property
    def total(self) -> int:
        """Passes of the gate as planned now, and those that came on top, to confirm a regression."""
        return sum(max(self._planned(case), len(self._passes[case])) for case in self._expected)

    def add(self, step: Step, seconds: float) -> None:
        """Keep how long a step took."""
        if step.workload:
            self._passes[CaseKey(step.server, step.workload)].append(seconds)
        else:
            self._startups[step.server].append(seconds)

    def end(self, hypothesis: str) -> None:
        """Nothing more of this hypothesis will run."""
        self._hypotheses_s.pop(hypothesis, None)

    def estimate_s(self) -> float:
        """Seconds until everything is measured."""
        rest_s = self._gate_s() + sum(max(s - self._spent_on(name), 0.0) for name, s in self._hypotheses_s.items())
        if self._budget is None:
            return rest_s
        budget_s = max(self._budget.seconds - self._budget.spent_s, 0.0)
        return budget_s if self._hypotheses_s else min(rest_s, budget_s)  # hypotheses use all of it

    def _planned(self, case: CaseKey) -> int:
        return self._launches if self._budget is None else self._budget.planned(case.server)[case.workload]

    def _gate_s(self) -> float:
        total_s, starts = 0.0, dict[str, int]()
        for case in self._expected:
            left = max(self._planned(case) - len(self._passes[case]), 0)
            total_s += left * self._expect_pass_s(case)
            # A launch serves all workloads: the start of the one under way is over.
            begun = max(len(self._startups[case.server]) - len(self._passes[case]), 0)
            starts[case.server] = max(starts.get(case.server, 0), left - begun)
        return total_s + sum(count * self._expect_startup_s(server) for server, count in starts.items())

    def _expect_pass_s(self, case: CaseKey) -> float:
        if self._passes[case]:
            return mean(self._passes[case])
        expected = self._expected[case]
        # Where no run shows the time, it is as far off as it was for those that were measured since.
        return expected.pass_s * (1.0 if expected.source == "measured" else self._find_error())

    def _find_error(self) -> float:
        """The time of the passes so far, as a multiple of what was expected."""
        pairs = [
            (mean(seconds), self._expected[case].pass_s)
            for case, seconds in self._passes.items()
            if seconds and case in self._expected
        ]
        return sum(took for took, _ in pairs) / sum(expected for _, expected in pairs) if pairs else 1.0

    def _expect_startup_s(self, server: str) -> float:
        if self._startups[server]:
            return mean(self._startups[server])
        return next(cell.startup_s for case, cell in self._expected.items() if case.server == server)

    def _spent_on(self, hypothesis: str) -> float:
        own = [seconds for case, seconds in self._passes.items() if case.server.startswith(f"{hypothesis}/")]
        own += [seconds for server, seconds in self._startups.items() if server.startswith(f"{hypothesis}/")]
        return sum(map(sum, own))


def is_counted(step: Step) -> bool:
    """Whether the step is one of the gate's passes, which are numbered."""
    return bool(step.workload) and is_cell(step.server)
