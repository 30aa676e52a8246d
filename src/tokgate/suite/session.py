"""Session: one run of the suite. It measures what its tests ask for, and keeps to the budget."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import product

import msgspec

from tokgate._exceptions import LaunchError, NotChecked, UsageError
from tokgate.config.words import format_count
from tokgate.judge.cell import CaseKey, CellKey
from tokgate.judge.plan import MOST_LAUNCHES
from tokgate.judge.verdict import Verdict
from tokgate.launch.server import Server
from tokgate.measure.measurement import Measurement
from tokgate.store.runs import RunWriter
from tokgate.suite.against import Against
from tokgate.suite.budget import MOST_BLOCKS, Budget
from tokgate.suite.duration import INSTANT_S
from tokgate.suite.experiment import LAUNCHES_ALONE, run_experiment
from tokgate.suite.known import Standing
from tokgate.suite.live import Live
from tokgate.suite.observer import Observer
from tokgate.suite.plan import Experiment, RunPlan
from tokgate.suite.verdicts import Verdicts

_SPENT = "the budget was spent"


class Session:
    """What the tests of one run share.

    plan: what is covered.
    writer: the run's record.
    verdicts: of its family of cells.
    budget: the time it may take; None measures every launch of the plan.
    standing: what is known of its hypotheses.
    observer: sees what is started and measured (the plugin's progress display).
    Use as a context: the budget's clock starts when it is entered, and leaving it ends the live server.
    """

    def __init__(
        self,
        plan: RunPlan,
        writer: RunWriter,
        verdicts: Verdicts,
        budget: Budget | None,
        standing: Mapping[str, Standing],
        *,
        observer: Observer,
    ) -> None:
        self.plan, self.writer, self.budget = plan, writer, budget
        self._verdicts, self._standing = verdicts, standing
        self._live = Live(writer, observer=observer)
        self._experiments: list[Verdict] = []
        self._answers: list[Verdict] = []
        self._against: Against | None = None
        if plan.opponent is not None:
            ends = None if plan.budget_s is None else time.monotonic() + plan.budget_s
            self._against = Against(
                plan, self._live, verdicts.family, goes_on=lambda: ends is None or time.monotonic() < ends
            )

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
        began = time.monotonic()
        measurement = self._live.measure(
            self.plan.case(*case),
            launch,
            stored=self._verdicts.answers(case.server),
            of=0 if self.budget is not None else self.plan.launches,
        )
        self._verdicts.add(measurement)
        if self.budget is not None:
            startup_s = max(live.facts.startup_s or 0.0, INSTANT_S)
            self.budget.learn(case, startup_s=startup_s, pass_s=time.monotonic() - began)
            self._look(case)
        return measurement

    def why_not(self, case: CaseKey, launch: int) -> str | None:
        """Why the budget skips this launch of a workload; None where it is measured."""
        if self.budget is None or self._verdicts.find_measurement(case, launch):
            return None
        if self._verdicts.is_decided(case):
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
        if key not in self._verdicts.decided:
            self._complete()
            self._record()
        if key in self._verdicts.decided:
            return self._verdicts.verdict(key)
        server, workload, _ = key
        gap = f"{server} × {workload}: {_SPENT} before its first launch"
        self.writer.add_not_checked(gap)
        raise NotChecked(gap)

    def answers(self, name: str) -> Verdict:
        """Whether the first launch of a server answers as a working model does. Raises LaunchError, NotChecked, RecordError."""
        self.start_server(name, 1)
        verdict = self._live.check_answers(self.plan.cases_of(name)[0], 1, stored=self._verdicts.answers(name))
        self._answers.append(verdict)
        self._record()
        return verdict

    def experiment(self, experiment: Experiment, *, blocks: int) -> Verdict:
        """Test one hypothesis and give its verdict, unless it is known; any live server ends first.

        blocks: the number without a budget. Raises NotChecked: the budget was too small for one block.
        """
        standing = self._standing[experiment.hypothesis.name]
        self.writer.add_dependencies(experiment.hypothesis.name, standing.depends_on)
        if standing.verdict is not None:
            return self._add_experiment(standing.verdict)
        self.stop_server()
        goes_on: Callable[[int], bool] = _always
        if self.budget is not None:
            launches = LAUNCHES_ALONE if len(experiment.arms) == 1 else 2 * len(experiment.arms)
            goes_on = self.budget.experiment(experiment.hypothesis.name, block=launches)
        try:
            verdict = run_experiment(
                experiment,
                self._live,
                blocks=MOST_BLOCKS if self.budget else blocks,
                goes_on=goes_on,
            )
        except NotChecked as gap:
            self.writer.add_not_checked(str(gap))
            raise
        finally:
            self._live.observer.end(experiment.hypothesis.name)
        if standing.why_again:
            note = f"tested again: {standing.why_again}"
            verdict = msgspec.structs.replace(verdict, notes=(*verdict.notes, note))
        return self._add_experiment(verdict)

    def _add_experiment(self, verdict: Verdict) -> Verdict:
        self._experiments.append(verdict)
        self._record()
        return verdict

    def _complete(self) -> None:
        """Measure the missing launches of the family, each for all cases of its server; then decide."""
        cases = self._verdicts.cases
        servers = dict.fromkeys(case.server for case in cases)
        if self.budget is None:
            launches = list(product(servers, range(1, self.plan.launches + 1)))
        else:
            budget = self.budget
            launches = list(product(servers, range(1, MOST_LAUNCHES + 2)))
            launches.sort(key=lambda at: budget.rank(*at))
        for server, launch in launches:
            for case in cases:
                if case.server == server and self.why_not(case, launch) is None:
                    with suppress(LaunchError):  # the verdict gives the reason
                        self.measure_case(case, launch)
        if self.budget is not None:
            self._verdicts.end(why=_SPENT)
            return
        self._verdicts.look(cases)
        fresh = self._verdicts.awaiting
        for case in fresh:
            with suppress(LaunchError):
                self.measure_case(case, self.plan.launches + 1)
        self._verdicts.look(fresh)

    def _look(self, *cases: CaseKey) -> None:
        """With a budget, judge after each launch, so that decided cells need no more launches."""
        if self.budget is not None:
            judged = [case for case in cases if case in self._verdicts.cases]
            planned = {case: self.budget.planned(case.server)[case.workload] for case in judged}
            self._verdicts.look(judged, planned)
            self._record()

    def _record(self) -> None:
        spending = None
        if self.budget is not None:
            decided = frozenset(case for case in self._verdicts.cases if self._verdicts.is_decided(case))
            spending = self.budget.spending(self._verdicts.used, decided)
        judged = self._verdicts.with_reasons() if self._against is None else self._against.verdicts
        self.writer.set_verdicts((*self._answers, *judged, *self._experiments), spending)


def _always(_: int) -> bool:
    return True
