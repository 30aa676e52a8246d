"""Estimates: how long cells and hypotheses take, and how much cells scatter: from earlier runs, else by arithmetic."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from tokgate.judge.cell import CaseKey, CellKey, Reference
from tokgate.judge.plan import Expected, Source, find_least_certain
from tokgate.judge.preview import How
from tokgate.judge.stats import scatter
from tokgate.suite.duet import count_rounds
from tokgate.suite.duration import INSTANT_S, count_waves, estimate_pace, estimate_pass_s, estimate_startup_s
from tokgate.suite.past import Past
from tokgate.suite.plan import Case, Experiment, RunPlan
from tokgate.suite.reference import References
from tokgate.suite.served import find_served, is_duet


class Times(NamedTuple):
    """Seconds of a launch of a case: of its start and of its pass, and what the less certain of them is based on."""

    startup_s: float
    pass_s: float
    source: Source


class ExperimentTime(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds of an experiment before its first block, and of each block; and what they are based on.

    how: in mirrored blocks, in pairs of launches next to each other (two count as a block), by the launches of the gate,
        by a look inside each arm, or by arithmetic alone.
    cases: those whose launches by the gate answer it.
    """

    before_s: float = 0.0
    block_s: float = 0.0
    source: Source
    how: How = "blocks"
    cases: tuple[CaseKey, ...] = ()

    def seconds(self, blocks: int) -> float:
        """Of an experiment with this number of blocks, if the gate does not serve it."""
        return self.before_s + blocks * self.block_s


class Estimates(msgspec.Struct, frozen=True, kw_only=True):
    """What is expected.

    cells: in the order of servers.
    experiments: by hypothesis.
    """

    cells: tuple[Expected, ...]
    experiments: dict[str, ExperimentTime]

    @property
    def timed(self) -> frozenset[str]:
        """Servers all of whose times were measured."""
        estimated = {cell.server for cell in self.cells if cell.source != "measured"}
        return frozenset(cell.server for cell in self.cells) - estimated


def estimate(
    plan: RunPlan,
    keys: Iterable[CellKey],
    experiments: Iterable[Experiment],
    *,
    past: Past,
    references: References,
) -> Estimates:
    """Estimate the cells of `keys` and the `experiments`. Raises SpecError."""
    return Estimates(
        cells=tuple(_expected(plan.case(*key.case), key, past, references) for key in keys),
        experiments={
            experiment.hypothesis.name: _experiment_time(experiment, plan, past, references)
            for experiment in experiments
        },
    )


def estimate_times(case: Case, past: Past, references: References) -> Times:
    """The times of a launch of this case: each from earlier runs of this machine, if there are any. Raises SpecError."""
    known = past.costs.get((case.server.name, case.workload.name))
    if known is not None and known.pass_s is not None:
        # A server that was already up has no startup time.
        return Times(max(known.startup_s or 0.0, INSTANT_S), max(known.pass_s, INSTANT_S), "measured")
    pace = estimate_pace(case, references.reported_tps(case.server.name))
    starts = (cost.startup_s for (server, _), cost in past.costs.items() if server == case.server.name)
    startup_s = next(filter(None, starts), None) or estimate_startup_s(case, pace)
    return Times(startup_s, estimate_pass_s(case, pace), pace.source)


def _expected(case: Case, key: CellKey, past: Past, references: References) -> Expected:
    server, workload, metric = key
    reference, _ = references.of(key)
    times = estimate_times(case, past, references)
    tolerance, promise = case.limits(metric)
    return Expected(
        server=server,
        workload=workload,
        metric=metric,
        startup_s=times.startup_s,
        pass_s=times.pass_s,
        source=times.source,
        tolerance=tolerance,
        promise=promise,
        cv=_cv(key, past, reference),
        reference=reference.kind if reference else None,
        values=len(reference.values) if reference else 0,
    )


def _cv(key: CellKey, past: Past, reference: Reference | None) -> float | None:
    if reference is not None and reference.kind == "nights":
        return scatter([reference.values])
    launches: list[Sequence[float]] = [point.launches for point in past.points(key)]
    if reference is not None and reference.kind == "launches":
        launches.append(reference.values)
    return scatter(launches)


def _experiment_time(experiment: Experiment, plan: RunPlan, past: Past, references: References) -> ExperimentTime:
    """With the times of each arm's server under the workload of the hypothesis."""
    claim = experiment.hypothesis.claim
    if claim.reach is not None:
        return ExperimentTime(source="measured", how="arithmetic")
    cases = tuple(experiment.arms.values())
    arms = [estimate_times(case, past, references) for case in cases]
    source = find_least_certain(arm.source for arm in arms)
    starts_s = sum(arm.startup_s for arm in arms)
    if claim.untreated or claim.fails is not None:
        return ExperimentTime(before_s=starts_s, source=source, how="look")
    if is_duet(experiment):
        waves_s = sum(arm.pass_s / count_waves(case.workload) for case, arm in zip(cases, arms, strict=True))
        pair_s = starts_s + (1 + count_rounds(cases[0].workload, waves_s)) * waves_s
        return ExperimentTime(block_s=2 * pair_s, source=source, how="pairs")
    served = find_served(experiment, plan)
    return ExperimentTime(
        before_s=starts_s - arms[0].startup_s,  # the first arm stays alive for its first measurement
        block_s=2 * (starts_s + sum(arm.pass_s for arm in arms)),
        source=source,
        how="gate" if served else "blocks",
        cases=served,
    )
