"""Session: one run of the suite. It measures what its tests ask for, and keeps to the budget."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import product

import msgspec

from tokgate._exceptions import LaunchError, NotChecked, NotTonight, UsageError
from tokgate.config.words import format_count, format_duration
from tokgate.judge.cell import CaseKey, CellKey
from tokgate.judge.plan import MOST_LAUNCHES
from tokgate.judge.verdict import Later, Verdict
from tokgate.launch.server import Server
from tokgate.measure.measurement import Measurement
from tokgate.store.runs import RunWriter
from tokgate.suite.against import Against
from tokgate.suite.agenda import make_later
from tokgate.suite.budget import MOST_BLOCKS, Budget
from tokgate.suite.duration import INSTANT_S
from tokgate.suite.experiment import LAUNCHES_ALONE, run_experiment
from tokgate.suite.live import Live
from tokgate.suite.observer import Observer
from tokgate.suite.outlook import Outlook
from tokgate.suite.plan import Experiment, RunPlan
from tokgate.suite.rotation import Unit
from tokgate.suite.served import decide_from_launches, find_served
from tokgate.suite.verdicts import Verdicts

_SPENT = "the budget was spent"


class Session:
    """What the tests of one run share.

    plan: what is covered.
    writer: the run's record.
    verdicts: of its family of cells.
    budget: the time it may take; None measures every launch of the plan.
    outlook: what is known before the run.
    observer: sees what is started and measured (the plugin's progress display).
    live: starts and measures servers; simulations have their own, and their own clock (seconds, monotonic).
    Use as a context: the budget's clock starts when it is entered, and leaving it ends the live server.
    """

    def __init__(
        self,
        plan: RunPlan,
        writer: RunWriter,
        verdicts: Verdicts,
        budget: Budget | None,
        outlook: Outlook,
        *,
        observer: Observer,
        live: Live | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.plan, self.writer, self.budget = plan, writer, budget
        self._verdicts, self._outlook = verdicts, outlook
        self._live, self._clock = live or Live(writer, observer=observer), clock
        self._experiments: dict[str, Verdict] = {}
        self._answers: dict[str, Verdict] = {}
        self._later: dict[str, Later] = {}
        self._completed: set[bool] = set()  # whether of what is left for later
        self._against: Against | None = None
        if plan.opponent is not None:
            ends = None if plan.budget_s is None else clock() + plan.budget_s
            self._against = Against(plan, self._live, verdicts.family, goes_on=lambda: ends is None or clock() < ends)

    def __enter__(self) -> Session:
        if self.budget is not None:
            self.budget.begin()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_server()

    def start_server(self, name: str, launch: int) -> Server:
        """Start this launch of a server, unless it is the live one; any other live server ends first. Raises LaunchError."""
        try:
            return self._live.start(self.plan.cases_of(name)[0].server, launch)
        except LaunchError as error:
            self._verdicts.add_failure(name, launch, str(error))
            self._look(*[CaseKey(name, case.workload.name) for case in self.plan.cases_of(name)])
            raise

    def stop_server(self) -> None:
        """End the live server, if there is one."""
        self._live.stop()

    def measure(self, server: Server, workload: str) -> Measurement:
        """Measure one workload on the live server. Raises RecordError, UsageError when it is not the live one."""
        if self._live.launch is None or server is not self._live.server:
            raise UsageError(f"server {server.spec.name} has ended, because another one was started since")
        name, launch = self._live.launch
        return self.measure_case(CaseKey(name, workload), launch)

    def measure_case(self, case: CaseKey, launch: int) -> Measurement:
        """Measure a case on one launch, unless that is done, and write it to disk. Raises LaunchError, RecordError."""
        if known := self._verdicts.find_measurement(case, launch):
            return known
        live = self.start_server(case.server, launch)
        began = self._clock()
        measurement = self._live.measure(
            self.plan.case(*case),
            launch,
            stored=self._verdicts.answers(live),
            of=0 if self.budget is not None else self.plan.launches,
        )
        self._verdicts.add(measurement)
        if self.budget is not None:
            startup_s = max(live.facts.startup_s or 0.0, INSTANT_S)
            self.budget.learn(case, startup_s=startup_s, pass_s=self._clock() - began)
            self._look(case)
        return measurement

    def why_not(self, case: CaseKey, launch: int) -> str | None:
        """Why the budget skips this launch of a workload; None where it is measured."""
        if self.budget is None or self._verdicts.find_measurement(case, launch):
            return None
        if self._verdicts.is_decided(case) and launch > self.budget.needed(case):
            used = format_count(self._verdicts.used[case], "launch")
            return f"{case.server} × {case.workload} was decided after {used}"
        live = self._live.launch == (case.server, launch)
        return self.budget.why_not(case, launch, live=live, fresh=case in self._verdicts.awaiting)

    def verdict(self, key: CellKey) -> Verdict:
        """The verdict of one metric of one cell, judged with its whole family, which is measured now if necessary.

        Raises NotChecked: the budget was too small for a launch of it, or there is nothing to compare it with.
        """
        if self._against is not None:
            try:
                return self._against.verdict(key)
            except NotChecked as nothing:
                self.writer.add_not_checked(str(nothing))
                raise
            finally:
                self._record()
        late = self._is_late(key.case)
        if key not in self._verdicts.decided and late not in self._completed:
            self._complete([case for case in self._verdicts.cases if self._is_late(case) == late])
            self._completed.add(late)
            self._record()
        if key in self._verdicts.decided:
            return self._verdicts.verdict(key)
        raise self._leave_for_later(key.case)

    def _is_late(self, case: CaseKey) -> bool:
        """Whether the budget leaves a case for later, so that it is measured only if there is time at the end."""
        return self.budget is not None and case not in self.budget.tonight

    def _leave_for_later(self, what: CaseKey | str) -> NotChecked:
        """What the budget had no time for is measured by a later run, unless it can never fit."""
        assert self.budget is not None
        name = what if isinstance(what, str) else " × ".join(what)
        if self.budget.fits(what):
            return NotTonight(f"{name}: the budget had no time for it; a later run measures it")
        gap = f"{name}: it takes longer than the whole budget of {format_duration(self.budget.seconds)}"
        self.writer.add_not_checked(gap)
        return NotChecked(gap)

    def why_no_answers(self, name: str) -> str | None:
        """Why the budget skips the answers of a server: none of its workloads is measured."""
        whys = [self.why_not(case, 1) for case in self._verdicts.cases if case.server == name]
        return whys[0] if whys and None not in whys else None

    def answers(self, name: str) -> Verdict:
        """Whether the first launch of a server answers as a working model does; asked once.

        Raises LaunchError, NotChecked, RecordError.
        """
        if name not in self._answers:
            stored = self._verdicts.answers(self.start_server(name, 1))
            self._answers[name] = self._live.check_answers(self.plan.cases_of(name)[0], 1, stored=stored)
            self._record()
        return self._answers[name]

    def experiment(self, experiment: Experiment, *, blocks: int) -> Verdict:
        """Test one hypothesis and give its verdict, unless it is known or was tested; any live server ends first.

        The launches of the gate decide it where they can. blocks: the number without a budget.
        Raises NotChecked: the budget had no time for it.
        """
        name = experiment.hypothesis.name
        if name in self._experiments:
            return self._experiments[name]
        standing = self._outlook.standing[name]
        self.writer.add_dependencies(name, standing.depends_on)
        if standing.verdict is not None:
            return self._add_experiment(name, standing.verdict)
        cases = find_served(experiment, self.plan)
        verdict = decide_from_launches(experiment, {case: self._verdicts.launches(case) for case in cases})
        if verdict is None:
            verdict = self._launch_arms(experiment, blocks=blocks)
        self._live.observer.end(name)
        if standing.why_again:
            note = f"tested again: {standing.why_again}"
            verdict = msgspec.structs.replace(verdict, notes=(*verdict.notes, note))
        return self._add_experiment(name, verdict)

    def _launch_arms(self, experiment: Experiment, *, blocks: int) -> Verdict:
        """Test a hypothesis with launches of its own. Raises as `experiment`."""
        self.stop_server()
        if self.budget is None:
            return run_experiment(experiment, self._live, blocks=blocks, goes_on=_always)
        name = experiment.hypothesis.name
        launches = LAUNCHES_ALONE if len(experiment.arms) == 1 else 2 * len(experiment.arms)
        goes_on = self.budget.experiment(name, block=launches)
        try:
            return run_experiment(experiment, self._live, blocks=MOST_BLOCKS, goes_on=goes_on)
        except NotChecked:
            raise self._leave_for_later(name) from None

    def _add_experiment(self, name: str, verdict: Verdict) -> Verdict:
        self._experiments[name] = verdict
        self._record()
        return verdict

    def _complete(self, cases: Sequence[CaseKey]) -> None:
        """Measure the missing launches of these cases, each launch for all of its server; then decide."""
        if self.budget is None:
            for (server, launch), case in product(self._list_launches(cases), cases):
                if case.server == server:
                    with suppress(LaunchError):  # the verdict gives the reason
                        self.measure_case(case, launch)
            self._verdicts.look(cases)
            fresh = self._verdicts.awaiting
            for case in fresh:
                with suppress(LaunchError):
                    self.measure_case(case, self.plan.launches + 1)
            self._verdicts.look(fresh)
            return
        budget = self.budget
        launches = list(product(cases, range(1, MOST_LAUNCHES + 2)))
        for case, launch in sorted(launches, key=lambda at: budget.rank(*at)):
            if self.why_not(case, launch) is None:
                with suppress(LaunchError):
                    self.measure_case(case, launch)
        self._verdicts.end(why=_SPENT)

    def _list_launches(self, cases: Sequence[CaseKey]) -> list[tuple[str, int]]:
        return list(product(dict.fromkeys(case.server for case in cases), range(1, self.plan.launches + 1)))

    def _look(self, *cases: CaseKey) -> None:
        """With a budget, judge after each launch, so that decided cells need no more launches."""
        if self.budget is not None:
            judged = [case for case in cases if case in self._verdicts.cases]
            planned = {case: self.budget.planned(case.server)[case.workload] for case in judged}
            self._verdicts.look(judged, planned)
            for case in judged:
                if self._verdicts.is_decided(case):
                    self.budget.finish(case)
            self._record()

    def _record(self) -> None:
        spending = None
        if self.budget is not None:
            decided = frozenset(case for case in self._verdicts.cases if self._verdicts.is_decided(case))
            spending = self.budget.spending(self._verdicts.used, decided)
        judged = self._verdicts.with_reasons() if self._against is None else self._against.verdicts
        verdicts = (*self._answers.values(), *judged, *self._experiments.values())
        self.writer.set_verdicts(verdicts, spending, self._list_later())

    def _list_later(self) -> tuple[Later, ...]:
        """What the budget had no time for so far."""
        if self.budget is None:
            return ()
        open_cases = {
            case
            for case in self._verdicts.cases
            if not self._verdicts.used[case] and not self._verdicts.is_decided(case)
        }
        units = (*self.budget.choice.tonight, *self.budget.choice.later)
        return tuple(
            self._make_later(unit)
            for unit in units
            if (unit.name not in self._experiments if unit.is_hypothesis else open_cases.intersection(unit.cases))
        )

    def _make_later(self, unit: Unit) -> Later:
        if unit.name not in self._later:
            self._later[unit.name] = make_later(unit, self._outlook)
        return self._later[unit.name]


def _always(_: int) -> bool:
    return True
