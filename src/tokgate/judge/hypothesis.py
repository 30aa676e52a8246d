"""What an experiment, a duet or mirrored blocks, says about a claim: confirmed, refuted, or that it cannot tell."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

from tokgate.config.hypothesis import Claim, Hypothesis
from tokgate.config.words import format_count, format_figure, format_ratio
from tokgate.judge import wording
from tokgate.judge.blocks import Block, Design
from tokgate.judge.power import detectable_log, fewest
from tokgate.judge.sequential import look_tail
from tokgate.judge.stats import LogRatio, contrast, log_moments
from tokgate.judge.verdict import Outcome, Verdict


def decide(
    hypothesis: Hypothesis, blocks: Sequence[Block], *, level: float = 0.05, planned: int | None = None
) -> Verdict:
    """Compare the claimed arm (`claim.arm`, default B) with each of the other arms.

    blocks: the claimed metric of every launch, in order; all of one design.
    level: how often, at most, the verdict is wrong: confirmed, or refuted, where the opposite is true.
    planned: the most blocks there will be, if this is asked after each of them until the claim is confirmed or
        refuted; early answers then cost no error (`sequential.look_tail`). None: asked only once.

    Confirmed only when the interval of the ratio to every other arm lies within the claimed bounds. Each of
    these tests uses the whole `level` (intersection-union test: all of them must hold, so the error of the
    whole is at most that of one).
    Refuted when the interval of the ratio to any other arm lies outside the bounds. One is enough, so each of
    m tests gets `level` / m (Bonferroni, which is the first step of Holm's procedure).
    For two arms both rules are the same: the whole interval of B / A is on one side of the claim.

    A claim that an arm fails is refuted by the blocks: all arms ran.
    Raises ValueError: no blocks, blocks of both designs, a value that is not finite and above zero, or a claim that sets no bound.
    """
    launches = sum(len(block.values) for block in blocks)
    design = blocks[0].design if blocks else None
    claim, claimed = hypothesis.claim, hypothesis.claim.arm or "b"
    if claim.fails is not None:
        reason = f"{format_arm(claim.fails)} started in every block; {_rival(hypothesis)}"
        return _verdict(hypothesis, Outcome.REFUTED, reason, launches=launches, design=design)
    if claim.above is None and claim.below is None:
        raise ValueError(f"hypothesis {hypothesis.name}: the claim sets neither above, below nor fails")
    others = [arm for arm in hypothesis.named_arms if arm != claimed]
    ratios = {arm: contrast(blocks, {arm: -1, claimed: 1}) for arm in others}
    look = _last_look if planned is None else partial(_look, launches=len(blocks), planned=planned)
    outcome, tail = _outcome(claim, list(ratios.values()), level / 2, look)
    weakest = min(others, key=lambda arm: _margin(claim, ratios[arm].estimate))
    ratio = ratios[weakest]
    low, high = ratio.interval(tail)
    known = tail > 0 and math.isfinite(ratio.se)
    detectable = -math.expm1(-detectable_log(ratio.se, ratio.df, tail)) if known else None
    unit = "launch pair" if design == "duet" else "block"
    replicates = format_count(len(blocks), unit)
    reason = wording.explain_ratio(
        claim,
        ratio.ratio,
        (low, high),
        of=f"{claimed} / {weakest}" if hypothesis.arms else f"{claimed} / {weakest}".upper(),
        level=2 * tail,
        replicates=replicates if design == "duet" else f"{replicates} ({format_count(launches, 'launch')})",
        detectable=detectable,
    )
    if len(others) > 1:
        rest = [f"{arm} {format_ratio(ratios[arm].ratio)}" for arm in others if arm != weakest]
        reason += f"; the ratio to {', to '.join(rest)}"
    if outcome is Outcome.INCONCLUSIVE:
        reason += f"; {_what_decides(claim, ratio, blocks, tail, planned=planned or len(blocks), unit=unit)}"
    elif outcome is Outcome.REFUTED:
        reason += f"; {_rival(hypothesis)}"
    return _verdict(
        hypothesis,
        outcome,
        reason,
        launches=launches,
        ratio=ratio.ratio,
        ends=(low, high) if known else (None, None),
        detectable=detectable,
        design=design,
        arms=(_arm_mean(blocks, weakest), _arm_mean(blocks, claimed)),
    )


def _outcome(
    claim: Claim, ratios: Sequence[LogRatio], tail: float, look: Callable[[float], float]
) -> tuple[Outcome, float]:
    """The outcome, and the tail of the intervals that it is based on. look: the part of a tail to use now."""
    own, shared = look(tail), look(tail / len(ratios))
    if all(_side(claim, ratio.interval(own)) is Outcome.CONFIRMED for ratio in ratios):
        return Outcome.CONFIRMED, own
    if any(_side(claim, ratio.interval(shared)) is Outcome.REFUTED for ratio in ratios):
        return Outcome.REFUTED, shared
    return Outcome.INCONCLUSIVE, own


def _look(tail: float, *, launches: int, planned: int) -> float:
    return look_tail(tail, launches=launches, planned=planned, baseline=None)


def _last_look(tail: float) -> float:
    return tail


def decide_share(hypothesis: Hypothesis, shares: Sequence[float], *, level: float = 0.05) -> Verdict:
    """Confirmed or refuted only when the whole interval of arm A's share is on one side of the claim.

    shares: of what the chip allows (1.0 is all), one for each launch.
    level: how often, at most, the verdict is wrong.
    Raises ValueError: no shares, or a share that is not above zero.
    """
    mean, variance = log_moments(shares)
    share = LogRatio(estimate=mean, se=math.sqrt(variance / len(shares)), df=len(shares) - 1)
    low, high = share.interval(level / 2)
    outcome = _side(hypothesis.claim, (low, high))
    reason = wording.explain_share(hypothesis.claim, share.ratio, (low, high), level=level, launches=len(shares))
    if outcome is Outcome.INCONCLUSIVE:
        reason += "; more launches would decide"
    elif outcome is Outcome.REFUTED:
        reason += f"; {_rival(hypothesis)}"
    return _verdict(hypothesis, outcome, reason, launches=len(shares), ratio=share.ratio, ends=(low, high))


def decide_reach(hypothesis: Hypothesis, *, possible: float) -> Verdict:
    """Whether the chip allows the claimed value at all. possible: what it allows on paper, in the metric's unit."""
    claimed = hypothesis.claim.reach
    assert claimed is not None
    metric = hypothesis.claim.metric or ""
    values = (
        f"the claim is {format_figure(metric, claimed)}, and the chip allows {format_figure(metric, possible)} on paper"
    )
    if possible >= claimed:
        return _verdict(hypothesis, Outcome.CONFIRMED, f"within reach: {values}")
    return _verdict(hypothesis, Outcome.REFUTED, f"out of reach: {values}; {_rival(hypothesis)}")


def mark_invalid(hypothesis: Hypothesis, reason: str) -> Verdict:
    """The experiment cannot tell, for this reason."""
    return _verdict(hypothesis, Outcome.INVALID, reason)


def judge_untreated(hypothesis: Hypothesis, *, seen: str, remedy: str) -> Verdict:
    """The treatment did not reach the server: invalid, or confirmed where that was the claim.

    seen: what is the same in both arms; remedy: what to do.
    """
    reason = f"the treatment did not reach the server: {seen}"
    if hypothesis.claim.untreated:
        return _verdict(hypothesis, Outcome.CONFIRMED, f"{reason}, as claimed")
    return mark_invalid(hypothesis, f"{reason}; {remedy}")


def judge_treated(hypothesis: Hypothesis, *, seen: str) -> Verdict:
    """Refuted: the treatment reached the server, against the claim. seen: what differs inside the arms."""
    reason = f"the treatment reached the server: {seen}; {_rival(hypothesis)}"
    return _verdict(hypothesis, Outcome.REFUTED, reason)


def judge_failed_arm(hypothesis: Hypothesis, arm: str, *, root_cause: str) -> Verdict:
    """An arm does not start: an outcome of its own, or confirmed where that was the claim, with that cause.

    root_cause: the log line that explains it.
    """
    claim, reason = hypothesis.claim, f"{format_arm(arm)} does not start: {root_cause}"
    if claim.fails != arm:
        return _verdict(hypothesis, Outcome.ARM_FAILED, reason)
    if claim.cause is not None and claim.cause not in root_cause:
        return _verdict(hypothesis, Outcome.ARM_FAILED, f"{reason}; the claimed cause was {claim.cause!r}")
    return _verdict(hypothesis, Outcome.CONFIRMED, f"{reason}, as claimed")


def explain_contradiction(hypothesis: Hypothesis, verdict: Verdict, *, run: str = "RUN") -> str | None:
    """Why the test must fail; None when the outcome agrees with the recorded status (or, if open, the claim).

    run: the run's id, for the command that records the outcome.
    An inconclusive or invalid experiment contradicts nothing.
    """
    expected = "refuted" if hypothesis.status == "refuted" else "confirmed"
    decided = {Outcome.CONFIRMED, Outcome.REFUTED, Outcome.ARM_FAILED}
    if verdict.outcome not in decided or verdict.outcome == expected:
        return None
    status = "claims otherwise" if hypothesis.status == "open" else f"is recorded as {hypothesis.status}"
    return (
        f"{hypothesis.name}: {verdict.outcome}, but the hypothesis {status}. {verdict.reason}. "
        f"To record this outcome: {_settle_command(hypothesis, run)}"
    )


def format_arm(name: str) -> str:
    """`arm A`, `arm medium`: single letters are written as capitals."""
    return f"arm {name.upper() if len(name) == 1 else name}"


def _side(claim: Claim, ends: tuple[float, float]) -> Outcome:
    """On which side of the claim's bounds the whole interval lies."""
    low, high = ends
    above, below = _bounds(claim)
    if above < low and high < below:
        return Outcome.CONFIRMED
    if high < above or low > below:
        return Outcome.REFUTED
    return Outcome.INCONCLUSIVE


def _margin(claim: Claim, estimate: float) -> float:
    """How far a log ratio lies inside the bounds; negative outside."""
    above, below = _bounds(claim)
    return min(estimate - (math.log(above) if above > 0 else -math.inf), math.log(below) - estimate)


def _bounds(claim: Claim) -> tuple[float, float]:
    return (
        -math.inf if claim.above is None else claim.above,
        math.inf if claim.below is None else claim.below,
    )


def _what_decides(
    claim: Claim, ratio: LogRatio, blocks: Sequence[Block], tail: float, *, planned: int, unit: str
) -> str:
    """What an inconclusive experiment lacks: the rest of its plan, a second launch pair, or more than the plan."""
    if len(blocks) < planned:
        return wording.describe_progress(len(blocks), planned, unit)
    if math.isinf(ratio.se):
        return f"one {unit} does not show the scatter; more would decide"
    return wording.suggest_blocks(_blocks_to_decide(claim, ratio, blocks, tail), unit)


def _blocks_to_decide(claim: Claim, ratio: LogRatio, blocks: Sequence[Block], tail: float) -> int | None:
    """How many blocks in all would decide if the estimate is true."""
    bounds = [math.log(bound) for bound in (claim.above, claim.below) if bound is not None]
    gap = min(abs(ratio.estimate - bound) for bound in bounds)
    of_one = ratio.se * math.sqrt(len(blocks))
    per_block = 1 if blocks[0].design == "duet" else len(blocks[0].arms)  # degrees of freedom
    needed = fewest(lambda k: detectable_log(of_one / math.sqrt(k), k * per_block - 1, tail) <= gap)
    return None if needed is None else max(needed, len(blocks) + 1)


def _arm_mean(blocks: Sequence[Block], arm: str) -> float:
    """Geometric mean over the launches of an arm."""
    values = [value for block in blocks for at, value in zip(block.order, block.values, strict=True) if at == arm]
    return math.exp(log_moments(values)[0])


def _rival(hypothesis: Hypothesis) -> str:
    return f"this supports instead: {hypothesis.rival}"


def _settle_command(hypothesis: Hypothesis, run: str = "RUN") -> str:
    return f"tokgate hypothesis settle {hypothesis.name} --run {run}"


def _verdict(
    hypothesis: Hypothesis,
    outcome: Outcome,
    reason: str,
    *,
    launches: int = 0,
    ratio: float | None = None,
    ends: tuple[float | None, float | None] = (None, None),
    detectable: float | None = None,
    arms: tuple[float | None, float | None] = (None, None),
    design: Design | None = None,
) -> Verdict:
    settled = outcome in {Outcome.CONFIRMED, Outcome.REFUTED}
    return Verdict(
        kind="hypothesis",
        server=" | ".join(arm.server for arm in hypothesis.named_arms.values()),
        workload=hypothesis.workload,
        metric=hypothesis.claim.metric or "start",
        outcome=outcome,
        ratio=ratio,
        ci_low=ends[0],
        ci_high=ends[1],
        min_detectable_drop=detectable,
        baseline=arms[0],
        current=arms[1],
        launches=launches,
        design=design,
        reason=reason,
        notes=(f"open: {_settle_command(hypothesis)}",) if settled and hypothesis.status == "open" else (),
        hypothesis=hypothesis.name,
    )
