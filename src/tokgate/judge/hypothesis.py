"""What an experiment of A B B A blocks says of a claim: confirmed, refuted, or that it cannot tell."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tokgate.config.hypothesis import Claim, Hypothesis
from tokgate.config.words import format_figure
from tokgate.judge import wording
from tokgate.judge.power import detectable_log, fewest
from tokgate.judge.stats import Block, LogRatio, blocked, log_moments
from tokgate.judge.verdict import Outcome, Verdict


def decide(hypothesis: Hypothesis, blocks: Sequence[Block], *, level: float = 0.05) -> Verdict:
    """Confirmed or refuted only when the whole interval of B / A is on one side of the claim.

    blocks: the claimed metric of every launch, in order; level: what the two tails of the interval hold.
    A claim that an arm fails is refuted by the blocks: both arms ran. Raises ValueError: no blocks, a
    figure that is not finite and above zero, or a claim that sets no bound.
    """
    found = blocked(blocks)
    claim, tail = hypothesis.claim, level / 2
    if claim.fails is not None:
        reason = f"arm {claim.fails.upper()} started in every block; {_supports(hypothesis)}"
        return _verdict(hypothesis, Outcome.REFUTED, reason, launches=4 * len(blocks))
    if claim.above is None and claim.below is None:
        raise ValueError(f"hypothesis {hypothesis.name}: the claim sets neither above, below nor fails")
    low, high = found.interval(tail)
    outcome = _side(claim, low, high)
    detectable = -math.expm1(-detectable_log(found.se, found.df, tail))
    sentence = wording.explain_ratio(
        claim, found.ratio, (low, high), level=level, blocks=len(blocks), detectable=detectable
    )
    if outcome is Outcome.INCONCLUSIVE:
        sentence += "; " + wording.suggest_blocks(_blocks_to_decide(claim, found, len(blocks), tail))
    elif outcome is Outcome.REFUTED:
        sentence += f"; {_supports(hypothesis)}"
    return _verdict(
        hypothesis,
        outcome,
        sentence,
        launches=4 * len(blocks),
        ratio=found.ratio,
        ends=(low, high),
        detectable=detectable,
        arms=(_arm_mean(blocks, "a"), _arm_mean(blocks, "b")),
    )


def decide_share(hypothesis: Hypothesis, shares: Sequence[float], *, level: float = 0.05) -> Verdict:
    """Confirmed or refuted only when the whole interval of arm A's share is on one side of the claim.

    shares: of what the chip allows, 1.0 is all, of each launch. Raises ValueError: none, or not above zero.
    """
    mean, variance = log_moments(shares)
    found = LogRatio(estimate=mean, se=math.sqrt(variance / len(shares)), df=len(shares) - 1)
    low, high = found.interval(level / 2)
    outcome = _side(hypothesis.claim, low, high)
    reason = wording.explain_share(
        hypothesis.claim, found.ratio, (low, high), level=level, launches=len(shares)
    )
    if outcome is Outcome.INCONCLUSIVE:
        reason += "; more launches would tell"
    elif outcome is Outcome.REFUTED:
        reason += f"; {_supports(hypothesis)}"
    return _verdict(hypothesis, outcome, reason, launches=len(shares), ratio=found.ratio, ends=(low, high))


def within_reach(hypothesis: Hypothesis, *, possible: float) -> Verdict:
    """Whether the chip allows the claimed figure at all. possible: what it does on paper, in the metric's unit."""
    claimed = hypothesis.claim.reach
    assert claimed is not None
    metric = hypothesis.claim.metric or ""
    figures = f"{format_figure(metric, claimed)} is claimed, and the chip on paper allows {format_figure(metric, possible)}"
    if possible >= claimed:
        return _verdict(hypothesis, Outcome.CONFIRMED, f"within reach: {figures}")
    return _verdict(hypothesis, Outcome.REFUTED, f"out of reach: {figures}; {_supports(hypothesis)}")


def invalid(hypothesis: Hypothesis, reason: str) -> Verdict:
    """The experiment cannot tell, for this reason."""
    return _verdict(hypothesis, Outcome.INVALID, reason)


def not_treated(hypothesis: Hypothesis, *, seen: str, remedy: str) -> Verdict:
    """The treatment did not reach the server: invalid, or what the claim said.

    seen: what both arms showed; remedy: what to do.
    """
    finding = f"the treatment did not reach the server: {seen}"
    if hypothesis.claim.untreated:
        return _verdict(hypothesis, Outcome.CONFIRMED, f"{finding}, as claimed")
    return invalid(hypothesis, f"{finding}; {remedy}")


def treated(hypothesis: Hypothesis, *, seen: str) -> Verdict:
    """Refuted: the treatment was claimed not to reach the server, and did. seen: what differs inside."""
    reason = f"the treatment reached the server: {seen}; {_supports(hypothesis)}"
    return _verdict(hypothesis, Outcome.REFUTED, reason)


def arm_failed(hypothesis: Hypothesis, arm: str, *, root_cause: str) -> Verdict:
    """An arm that does not start: a finding of its own, or what the claim said, for the cause it said.

    root_cause: the log line that explains it.
    """
    claim, finding = hypothesis.claim, f"arm {arm.upper()} does not start: {root_cause}"
    if claim.fails != arm:
        return _verdict(hypothesis, Outcome.ARM_FAILED, finding)
    if claim.cause is not None and claim.cause not in root_cause:
        return _verdict(hypothesis, Outcome.ARM_FAILED, f"{finding}; the claimed cause was {claim.cause!r}")
    return _verdict(hypothesis, Outcome.CONFIRMED, f"{finding}, as claimed")


def contradicts(hypothesis: Hypothesis, verdict: Verdict) -> str | None:
    """Why the test must fail, None when the outcome agrees with what is recorded (or, if open, claimed).

    An inconclusive or invalid experiment contradicts nothing: what becomes of it is the caller's to say.
    """
    expected = "refuted" if hypothesis.status == "refuted" else "confirmed"
    decided = {Outcome.CONFIRMED, Outcome.REFUTED, Outcome.ARM_FAILED}
    if verdict.outcome not in decided or verdict.outcome == expected:
        return None
    stands = "claims otherwise" if hypothesis.status == "open" else f"is recorded as {hypothesis.status}"
    return (
        f"{hypothesis.name}: {verdict.outcome}, but the hypothesis {stands}. {verdict.reason}. "
        f"To record what was measured: {_settle(hypothesis)}"
    )


def _side(claim: Claim, low: float, high: float) -> Outcome:
    """On which side of the claim's bounds the whole interval lies."""
    above = -math.inf if claim.above is None else claim.above
    below = math.inf if claim.below is None else claim.below
    if above < low and high < below:
        return Outcome.CONFIRMED
    if high < above or low > below:
        return Outcome.REFUTED
    return Outcome.INCONCLUSIVE


def _blocks_to_decide(claim: Claim, found: LogRatio, blocks: int, tail: float) -> int | None:
    """How many blocks in all would decide if the estimate is true."""
    bounds = [math.log(bound) for bound in (claim.above, claim.below) if bound is not None]
    gap = min(abs(found.estimate - bound) for bound in bounds)
    one = found.se * math.sqrt(blocks)
    needed = fewest(lambda k: detectable_log(one / math.sqrt(k), 2 * k - 1, tail) <= gap)
    return None if needed is None else max(needed, blocks + 1)


def _arm_mean(blocks: Sequence[Block], arm: str) -> float:
    values = [
        value for block in blocks for at, value in zip(block.order, block.values, strict=True) if at == arm
    ]
    return math.exp(log_moments(values)[0])


def _supports(hypothesis: Hypothesis) -> str:
    return f"this supports instead: {hypothesis.rival}"


def _settle(hypothesis: Hypothesis) -> str:
    return f"tokgate hypothesis settle {hypothesis.name} --run RUN"


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
        reason=reason,
        notes=(f"open: {_settle(hypothesis)}",) if settled and hypothesis.status == "open" else (),
        hypothesis=hypothesis.name,
    )
