"""Served: hypotheses that the launches of the gate answer, so that nothing is launched for them alone."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tokgate import engines
from tokgate.judge.blocks import Block
from tokgate.judge.cell import CaseKey
from tokgate.judge.hypothesis import decide, decide_share
from tokgate.judge.verdict import Verdict
from tokgate.launch.server import Server
from tokgate.measure.measurement import Measurement
from tokgate.measure.roofline import compute_use
from tokgate.suite.budget import LEAST_BLOCKS
from tokgate.suite.comparison import explain_gap
from tokgate.suite.experiment import check_treatment, find_metric
from tokgate.suite.plan import Case, Experiment, RunPlan

NOTE = "from the launches of the gate"


def find_served(experiment: Experiment, plan: RunPlan) -> tuple[CaseKey, ...]:
    """The cases of a run whose launches answer a hypothesis; empty if it needs launches of its own.

    Its arms are servers of the run as they are declared, and the workload is one of theirs. Claims that are decided by a
    look inside the arms need none, and arms that fit into memory together are better compared in turns.
    """
    claim = experiment.hypothesis.claim
    if claim.fails is not None or claim.untreated or claim.reach is not None:
        return ()
    cases = tuple(CaseKey(arm.server.name, arm.workload.name) for arm in experiment.arms.values())
    declared = {CaseKey(case.server.name, case.workload.name): case.server for case in plan.cases}
    if any(declared.get(key) != arm.server for key, arm in zip(cases, experiment.arms.values(), strict=True)):
        return ()
    return () if is_duet(experiment) else cases


def is_duet(experiment: Experiment) -> bool:
    """Whether the arms are expected to fit into memory together."""
    arms = experiment.arms.values()
    return len(arms) > 1 and not any(engines.find(arm.server.engine).reserves_memory for arm in arms)


def decide_from_launches(
    experiment: Experiment, launches: Mapping[CaseKey, Mapping[int, Measurement]]
) -> Verdict | None:
    """The verdict on a hypothesis from launches of its arms; None if they are too few, or not in mirrored order.

    launches: by case, the measurement of each launch.
    """
    arms = {
        name: launches.get(CaseKey(arm.server.name, arm.workload.name), {}) for name, arm in experiment.arms.items()
    }
    verdict = _decide_share(experiment, arms) if len(arms) == 1 else _decide_ratio(experiment, arms)
    return None if verdict is None else msgspec.structs.replace(verdict, notes=(*verdict.notes, NOTE))


def _decide_share(experiment: Experiment, arms: Mapping[str, Mapping[int, Measurement]]) -> Verdict | None:
    hypothesis, metric = experiment.hypothesis, find_metric(experiment)
    (measurements,) = arms.values()
    shares = []
    for launch in measurements.values():
        if explain_gap(launch, metric) is None:
            used = compute_use(launch.roofline, metric, launch.gated[metric])
            shares.append(None if used is None else getattr(used, f"of_{hypothesis.claim.of}"))
    known = [share for share in shares if share is not None]
    return decide_share(hypothesis, known) if len(known) == len(shares) >= LEAST_BLOCKS else None


def _decide_ratio(experiment: Experiment, arms: Mapping[str, Mapping[int, Measurement]]) -> Verdict | None:
    hypothesis, metric = experiment.hypothesis, find_metric(experiment)
    blocks = collect_blocks(arms, metric)
    if len(blocks) < LEAST_BLOCKS:
        return None
    if (verdict := check_treatment(hypothesis, _as_servers(experiment.arms, arms))) is not None:
        return verdict
    return decide(hypothesis, blocks)


def collect_blocks(arms: Mapping[str, Mapping[int, Measurement]], metric: str) -> list[Block]:
    """Each two launches in a row in which all arms were measured in one order, and then in the reverse.

    Blocks with a launch that is not valid are left out.
    """
    blocks = []
    for first in range(1, max((max(launches, default=0) for launches in arms.values()), default=0), 2):
        if not all(first in launches and first + 1 in launches for launches in arms.values()):
            continue
        order, mirrored = _sort_by_start(arms, first), _sort_by_start(arms, first + 1)
        runs = [*(arms[arm][first] for arm in order), *(arms[arm][first + 1] for arm in mirrored)]
        if mirrored == order[::-1] and all(explain_gap(run, metric) is None for run in runs):
            blocks.append(Block(arms=tuple(order), values=tuple(run.gated[metric] for run in runs)))
    return blocks


def _sort_by_start(arms: Mapping[str, Mapping[int, Measurement]], launch: int) -> list[str]:
    return sorted(arms, key=lambda arm: arms[arm][launch].started)


def _as_servers(cases: Mapping[str, Case], arms: Mapping[str, Mapping[int, Measurement]]) -> dict[str, Server]:
    """The arms as they were, for the manipulation check."""
    return {
        arm: Server(spec=cases[arm].server, facts=next(iter(launches.values())).facts, check_alive=lambda: None)
        for arm, launches in arms.items()
    }
