"""Estimates from earlier runs: how long cells take, and how much they scatter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from tokgate.judge.cell import CellKey, Reference
from tokgate.judge.plan import Expected
from tokgate.judge.stats import scatter
from tokgate.store.history import Cost
from tokgate.suite.past import Past
from tokgate.suite.plan import Case, Experiment, RunPlan
from tokgate.suite.reference import References

ASSUMED_S = 30.0
"""Seconds for a start, and for a pass of a workload, until one was measured."""

INSTANT_S = 0.001
"""Seconds for the start of a server that is already up; plans need a time above zero."""


class Estimates(msgspec.Struct, frozen=True, kw_only=True):
    """What is expected.

    cells: in the order of servers.
    timed: servers whose times were measured, not assumed.
    blocks_s: by hypothesis, the expected seconds of one block; None where no run shows it.
    """

    cells: tuple[Expected, ...]
    timed: frozenset[str]
    blocks_s: dict[str, float | None]


def estimate(
    plan: RunPlan,
    keys: Iterable[CellKey],
    experiments: Iterable[Experiment],
    *,
    past: Past,
    references: References,
) -> Estimates:
    """Estimate the cells of `keys` and the blocks of `experiments`. Raises SpecError."""
    keys = tuple(keys)
    costs = past.costs
    timed = {key.server for key in keys} - {key.server for key in keys if not _known(costs.get(key.case))}
    return Estimates(
        cells=tuple(_expected(plan.case(*key.case), key, past, references) for key in keys),
        timed=frozenset(timed),
        blocks_s={experiment.hypothesis.name: _block_s(experiment, past) for experiment in experiments},
    )


def _expected(cell: Case, key: CellKey, past: Past, references: References) -> Expected:
    server, workload, metric = key
    reference, _ = references.of(key)
    startup_s, pass_s = _times(past.costs.get((server, workload)))
    tolerance, promise = cell.limits(metric)
    return Expected(
        server=server,
        workload=workload,
        metric=metric,
        startup_s=startup_s,
        pass_s=pass_s,
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


def _known(cost: Cost | None) -> bool:
    return cost is not None and cost.pass_s is not None


def _times(cost: Cost | None) -> tuple[float, float]:
    if cost is None or cost.pass_s is None:
        return ASSUMED_S, ASSUMED_S
    return max(cost.startup_s or 0.0, INSTANT_S), max(cost.pass_s, INSTANT_S)


def _block_s(experiment: Experiment, past: Past) -> float | None:
    """Two launches of each arm, from the times of its server under that workload in other runs."""
    if experiment.hypothesis.claim.reach is not None:
        return 0.0
    arms = [(arm.server.name, arm.workload.name) for arm in experiment.arms.values()]
    if not all(_known(past.costs.get(arm)) for arm in arms):
        return None
    return 2 * sum(sum(_times(past.costs.get(arm))) for arm in arms)
