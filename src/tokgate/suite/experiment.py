"""Experiment: one hypothesis tested by a comparison of its arms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import combinations

import msgspec

from tokgate._exceptions import NotChecked
from tokgate.config.hypothesis import Hypothesis
from tokgate.config.server import DockerLaunch
from tokgate.judge.blocks import Block, OutOfTime, Unmeasured, draw_orders
from tokgate.judge.hypothesis import (
    decide,
    decide_reach,
    decide_share,
    format_arm,
    judge_failed_arm,
    judge_treated,
    judge_untreated,
    mark_invalid,
)
from tokgate.judge.verdict import Outcome, Verdict
from tokgate.launch.server import Server
from tokgate.measure.roofline import compute_roofline, compute_use
from tokgate.suite.comparison import ArmFailed, ArmNotTried, Comparison
from tokgate.suite.live import Live
from tokgate.suite.manipulation import differences, undeclared
from tokgate.suite.plan import Case, Experiment

LAUNCHES_ALONE = 2
"""Launches for each block asked for, of a hypothesis about one server: as many as each arm has in a block."""

MOST_PAIRS = 8
"""Launch pairs of a duet: three or four decide where the arms differ clearly (docs/error-rates.md)."""

_NO_ROOFLINE = (
    "what the chip allows is unknown: the profile names no hardware, or the server does not state its model's "
    "bytes_per_token or parameters_per_token"
)


def run_experiment(experiment: Experiment, live: Live, *, blocks: int, goes_on: Callable[[int], bool]) -> Verdict:
    """Check the treatment from inside the arms, then measure blocks; each launch is on disk as it ends.

    blocks: the number of mirrored blocks; a duet stops when it is decided, after MOST_PAIRS launch pairs at most.
    goes_on: asked before each launch, with the number of launches so far; an incomplete block does not count.
    Raises RecordError, NotChecked: there was not time for one complete block.
    """
    hypothesis = experiment.hypothesis
    comparison = Comparison(
        {name: (_named(case, f"{hypothesis.name}/{name}"),) for name, case in experiment.arms.items()},
        live,
        metric=find_metric(experiment),
        goes_on=goes_on,
        # An arm that is to fail is tried alone, so that nothing else can be the reason.
        design="blocks" if hypothesis.claim.fails is not None else None,
    )
    try:
        if hypothesis.claim.reach is not None:
            return _test_reach(hypothesis, comparison)
        if len(experiment.arms) == 1:
            return _test_share(hypothesis, comparison, LAUNCHES_ALONE * blocks)
        return _test_ratio(hypothesis, comparison, blocks)
    except ArmFailed as failed:
        return judge_failed_arm(hypothesis, failed.arm, root_cause=failed.root_cause)
    except Unmeasured as error:
        return mark_invalid(hypothesis, f"{format_arm(error.arm)}: {error.why}")
    except ArmNotTried as error:
        return mark_invalid(hypothesis, f"{format_arm(error.arm)} could not be tried: {error}")
    finally:
        live.stop()


def find_metric(experiment: Experiment) -> str:
    """The metric that the claim is about, or the first one of the workload for claims that name none."""
    return experiment.hypothesis.claim.metric or str(next(iter(experiment.arms.values())).workload.gated[0])


def _named(case: Case, name: str) -> Case:
    """The case with a server of that name: arms may be the same server, changed."""
    return msgspec.structs.replace(case, server=msgspec.structs.replace(case.server, name=name))


def _test_ratio(hypothesis: Hypothesis, comparison: Comparison, blocks: int) -> Verdict:
    orders = draw_orders(tuple(comparison.arms), max(blocks, MOST_PAIRS), seed=hypothesis.name)
    complete: list[Block] = []
    assert comparison.metric is not None
    with suppress(OutOfTime):
        if (verdict := check_treatment(hypothesis, comparison.look_inside(orders[0]))) is not None:
            return verdict
        planned = MOST_PAIRS if comparison.design == "duet" else None
        for order in orders[: planned or blocks]:
            complete.append(comparison.measure_block(order).block(hypothesis.workload, comparison.metric))
            verdict = decide(hypothesis, complete, planned=planned)
            if planned is not None and verdict.outcome is not Outcome.INCONCLUSIVE:
                return verdict
    if not complete:
        raise _out_of_time(hypothesis)
    verdict = decide(hypothesis, complete, planned=len(complete) if comparison.design == "duet" else None)
    note = (f"in mirrored blocks: {comparison.why_blocks}",) if comparison.why_blocks else ()
    return msgspec.structs.replace(verdict, notes=(*verdict.notes, *note))


def _test_share(hypothesis: Hypothesis, comparison: Comparison, launches: int) -> Verdict:
    """What the only arm reaches of what the chip allows."""
    (arm,) = comparison.arms
    assert comparison.metric is not None
    shares: list[float] = []
    with suppress(OutOfTime):
        for _ in range(launches):
            measurement = comparison.measure(arm, [hypothesis.workload])[hypothesis.workload]
            used = compute_use(measurement.roofline, comparison.metric, measurement.gated[comparison.metric])
            if used is None or (share := getattr(used, f"of_{hypothesis.claim.of}")) is None:
                return mark_invalid(hypothesis, _NO_ROOFLINE)
            shares.append(share)
    if not shares:
        raise _out_of_time(hypothesis)
    return decide_share(hypothesis, shares)


def _test_reach(hypothesis: Hypothesis, comparison: Comparison) -> Verdict:
    """What the chip allows the only arm, without a launch."""
    ((case,),) = comparison.arms.values()
    assert comparison.metric is not None
    model = case.server.model
    roof = compute_roofline(
        case.hardware,
        bytes_per_token=model.bytes_read(context=0),
        parameters_per_token=model.parameters_per_token,
        streams=case.workload.concurrency,
    )
    used = compute_use(roof, comparison.metric, 1.0)
    if used is None or used.possible is None:
        return mark_invalid(hypothesis, _NO_ROOFLINE)
    return decide_reach(hypothesis, possible=used.possible)


def _out_of_time(hypothesis: Hypothesis) -> NotChecked:
    return NotChecked(f"{hypothesis.name}: the budget was spent before one block was complete")


def check_treatment(hypothesis: Hypothesis, servers: Mapping[str, Server]) -> Verdict | None:
    """The verdict when the arms do not differ as declared; None when they do, and nothing else differs.

    servers: by arm. Every pair of arms is checked.
    """
    for first, second in combinations(servers, 2):
        a, b = servers[first], servers[second]
        seen = differences(a, b, names=(_letter(first), _letter(second)))
        if hypothesis.claim.untreated and seen:
            return judge_treated(hypothesis, seen=_join(seen))
        if hypothesis.claim.untreated:
            continue
        if not seen:
            return judge_untreated(hypothesis, seen=_same(servers, first, second), remedy=_remedy(b))
        if more := undeclared(a.spec, b.spec, seen):
            return mark_invalid(
                hypothesis,
                f"more than the treatment differs between the arms: {_join(more)}; make it the same in all arms",
            )
    if not hypothesis.claim.untreated:
        return None
    first, second = list(servers)[:2]
    return judge_untreated(hypothesis, seen=_same(servers, first, second), remedy="")


def _same(servers: Mapping[str, Server], first: str, second: str) -> str:
    arms = "both arms" if len(servers) == 2 else f"{format_arm(first)} and {format_arm(second)}"
    return f"{arms} are the same in arguments, image, environment, container, shm and settings"


def _letter(arm: str) -> str:
    return format_arm(arm).removeprefix("arm ")


def _join(differing: Mapping[str, str]) -> str:
    return "; ".join(f"{key} ({text})" for key, text in differing.items())


def _remedy(server: Server) -> str:
    launch = server.spec.launch
    if isinstance(launch, DockerLaunch) and launch.ipc == "host" and launch.shm_size is not None:
        return (
            f"both see a /dev/shm of {server.facts.shm_bytes} bytes, the host's: under ipc: host Docker "
            "ignores shm_size; set ipc: private in both arms"
        )
    return "check that the override changes what the engine reads when it starts"
