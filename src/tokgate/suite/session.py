"""Session: one run of the suite. It holds the one live server, what was measured, and the verdicts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path

import msgspec

from tokgate._exceptions import LaunchError, UsageError
from tokgate.judge.gate import Cell as JudgedCell
from tokgate.judge.gate import Reference, confirm, judge, needs_confirmation
from tokgate.judge.metric import default_promise, default_tolerance
from tokgate.judge.verdict import Outcome, Verdict
from tokgate.launch.server import Server
from tokgate.launch.start import start
from tokgate.measure.measurement import Answers, Measurement
from tokgate.spec.metric import Metric
from tokgate.store.baselines import Baseline, read_baseline, why_not_comparable, yardsticks
from tokgate.store.runs import RunWriter
from tokgate.suite.cell import Watch, measure_cell
from tokgate.suite.experiment import run_experiment
from tokgate.suite.plan import Experiment, Plan

Key = tuple[str, str, Metric]
"""server, workload, metric: what one verdict is about."""


class Session:
    """What the tests of one run share.

    plan: what is covered; writer: the run's record; baselines: the folder of this run's baselines.
    around: entered while requests run (the plugin's progress display).
    Use as a context: leaving it ends the live server.
    """

    def __init__(
        self,
        plan: Plan,
        writer: RunWriter,
        baselines: Path,
        *,
        around: Callable[[str], AbstractContextManager[Watch]],
    ) -> None:
        self.plan, self.writer, self.baselines = plan, writer, baselines
        self._around = around
        self._live = ExitStack()
        self._live_key: tuple[str, int] | None = None
        self._server: Server | None = None
        self._measured: dict[tuple[str, str, int], Measurement] = {}
        self._failed: dict[tuple[str, int], LaunchError] = {}
        self._verdicts: dict[Key, Verdict] = {}
        self._experiments: list[Verdict] = []

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_server()

    def launched(self, name: str, launch: int) -> Server:
        """The live server of this name and launch; whatever else is alive ends first. Raises LaunchError."""
        key = (name, launch)
        if self._server is not None and self._live_key == key:
            return self._server
        if key in self._failed:
            raise self._failed[key]
        self.stop_server()
        spec = self.plan.cells_of(name)[0].server
        with self._around(f"{name} · launch {launch} · starting"):
            try:
                self._server = self._live.enter_context(start(spec, log_dir=self.writer.folder / "logs"))
            except LaunchError as error:
                self._failed[key] = error
                raise
        self._live_key = key
        return self._server

    def stop_server(self) -> None:
        """End the live server, if there is one."""
        self._server = self._live_key = None
        self._live.close()

    def measure(self, server: Server, workload: str) -> Measurement:
        """Measure one workload on the live server. Raises RecordError, UsageError when it is not the live one."""
        if self._live_key is None or server is not self._server:
            raise UsageError(f"server {server.spec.name} has ended; another was launched since")
        name, launch = self._live_key
        return self.measured(name, workload, launch)

    def measured(self, server: str, workload: str, launch: int) -> Measurement:
        """One cell on one launch: measured before, or now, and on disk at once. Raises LaunchError, RecordError."""
        if known := self._measured.get((server, workload, launch)):
            return known
        live = self.launched(server, launch)
        cell = self.plan.cell(server, workload)
        title = f"{server} · launch {launch}/{self.plan.launches} · {workload}"
        with self._around(title) as watch:
            measured = measure_cell(live, cell, launch=launch, watch=watch, stored=self._answers(server))
        self._measured[server, workload, launch] = measured
        self.writer.add_measurement(measured)
        return measured

    def _answers(self, server: str) -> Answers | None:
        """What the model of this server answered when its baseline was accepted."""
        baseline = read_baseline(self.baselines / f"{server}.yaml")
        return None if baseline is None else baseline.canary

    def verdict(self, key: Key, family: Iterable[Key]) -> Verdict:
        """The verdict of one metric of one cell, judged with its whole family.

        family: every metric this run will judge; what of it was not measured yet is measured now.
        """
        if key not in self._verdicts:
            self._judge(tuple(family))
        return self._verdicts[key]

    def experiment(self, experiment: Experiment, *, blocks: int) -> Verdict:
        """The verdict of one hypothesis, tested now; whatever server is alive ends first."""
        self.stop_server()
        verdict = run_experiment(experiment, self.writer, blocks=blocks, around=self._around)
        self._experiments.append(verdict)
        self._record_verdicts()
        return verdict

    def _record_verdicts(self) -> None:
        self.writer.set_verdicts((*self._verdicts.values(), *self._experiments))

    def _judge(self, family: tuple[Key, ...]) -> None:
        self._complete(dict.fromkeys((server, workload) for server, workload, _ in family))
        servers = dict.fromkeys(server for server, _, _ in family)
        baselines = {server: read_baseline(self.baselines / f"{server}.yaml") for server in servers}
        references = [self._reference(baselines[key[0]], *key) for key in family]
        cells = [
            self._judged(*key, reference) for key, (reference, _) in zip(family, references, strict=True)
        ]
        for key, cell, (_, gap), verdict in zip(family, cells, references, judge(cells), strict=True):
            if verdict.outcome is Outcome.NO_BASELINE:
                verdict = _replace(verdict, reason=gap)
            self._verdicts[key] = self._confirmed(cell, verdict) if needs_confirmation(verdict) else verdict
        self._record_verdicts()

    def _complete(self, wanted: Iterable[tuple[str, str]]) -> None:
        """Measure what of the wanted cells is missing, each launch serving all of its server's."""
        wanted = tuple(wanted)
        for launch in range(1, self.plan.launches + 1):
            for server, workload in wanted:
                with suppress(LaunchError):  # kept, and told by `_why_invalid`
                    self.measured(server, workload, launch)

    def _judged(self, server: str, workload: str, metric: Metric, reference: Reference | None) -> JudgedCell:
        cell = self.plan.cell(server, workload)
        launches = [
            one
            for (name, load, launch), one in self._measured.items()
            if (name, load) == (server, workload) and launch <= self.plan.launches
        ]
        return JudgedCell(
            server=server,
            workload=workload,
            metric=metric,
            current=tuple(one.gated[metric] for one in launches if metric in one.gated),
            reference=reference,
            invalid=self._why_invalid(server, launches),
            tolerance=cell.workload.tolerance.get(metric, default_tolerance(metric)),
            promise=cell.workload.promise.get(metric, default_promise(metric)),
            cpu_gflops=yardsticks(launches),
        )

    def _why_invalid(self, server: str, launches: list[Measurement]) -> str | None:
        for (name, launch), error in self._failed.items():
            if name == server:
                return f"launch {launch} failed: {error}"
        for one in launches:
            if not one.valid:
                return f"launch {one.launch}: {one.problems[0].rule}: {one.problems[0].detail}"
        return None if launches else "nothing was measured"

    def _reference(
        self, baseline: Baseline | None, server: str, workload: str, metric: Metric
    ) -> tuple[Reference | None, str]:
        """What the server's baseline offers for this metric, or why it offers nothing."""
        if baseline is None:
            accept = f"tokgate baseline accept {self.writer.record.run_id} --server {server}"
            return None, f"no baseline is stored; `{accept}` makes this run one"
        gap = why_not_comparable(
            baseline,
            workload,
            conditions=self.writer.record.conditions[workload],
            fingerprint=self.writer.record.fingerprint,
        )
        if gap is not None:
            return None, gap
        values = baseline.cells[workload].metrics.get(metric)
        if not values:
            return None, f"the baseline has no {metric}"
        return _as_reference(baseline, values, baseline.cells[workload].cpu_gflops), ""

    def _confirmed(self, cell: JudgedCell, verdict: Verdict) -> Verdict:
        """A regression must be reproduced by one fresh launch before it counts."""
        fresh = self.plan.launches + 1
        try:
            again = self.measured(cell.server, cell.workload, fresh)
        except LaunchError as error:
            return _replace(verdict, reason=f"{verdict.reason}; the relaunch to confirm it failed: {error}")
        if not again.valid or cell.metric not in again.gated:
            why = again.problems[0].detail if again.problems else "it gave no value"
            reason = f"{verdict.reason}; the relaunch to confirm it was invalid: {why}"
            return _replace(verdict, outcome=Outcome.INVALID, reason=reason)
        return confirm(verdict, cell, again.gated[cell.metric])


def _as_reference(baseline: Baseline, values: tuple[float, ...], cpu_gflops: tuple[float, ...]) -> Reference:
    if baseline.provenance == "measured":
        label = f"baseline of {baseline.date} ({baseline.source}, {len(values)} launches)"
        return Reference(kind="launches", values=values, label=label, cpu_gflops=cpu_gflops)
    label = f"one figure {baseline.provenance} on {baseline.date} ({baseline.source})"
    return Reference(kind="figure", values=values[:1], label=label)


def _replace(verdict: Verdict, **changes: object) -> Verdict:
    changed: Verdict = msgspec.structs.replace(verdict, **changes)
    return changed
