"""The gate: cells of a run against what their baselines offer, with one error rate for the whole run.

The drop of a cell is the fraction by which its speed falls; for ttft_s, tpot_s and itl_s the speed is one
over the figure, so a drop of 8 % is a time 1 / 0.92 as long. The interval of a cell leaves a tail on each
side that Holm's procedure sets over the family of cells. A regression must then be reproduced by one
fresh launch (`confirm`), which noise passes less than half the time; so the tails are twice what `level`
would allow alone. The error rates that result are simulated in `ci/bench/error_rates.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import msgspec
from scipy.special import stdtrit

from tokgate.judge import wording
from tokgate.judge.metric import direction
from tokgate.judge.power import detectable_log, launches_needed
from tokgate.judge.sequential import look_tail
from tokgate.judge.stats import LogRatio, against_figure, against_history, log_moments, welch
from tokgate.judge.verdict import Outcome, Verdict

REPRODUCTION_GAIN = 2.0  # wider tails, because a regression must also be reproduced
REPRODUCTION_TAIL = 0.1  # how rarely one launch of an unchanged server is as slow as must be reproduced


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """What a baseline offers for one metric.

    values: for each launch of an accepted run, for each of the last nights, or the one published figure.
    label: what it is, in words: "baseline of 2026-11-24, 10 launches".
    """

    kind: Literal["launches", "nights", "figure"]
    values: tuple[float, ...]
    label: str


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One server x workload x metric to be judged.

    current: one value for each launch; invalid: why the measurement is not valid, None if it is.
    tolerance: the drop worth failing for; promise: the drop the run undertakes to see (fractions).
    planned: launches of the plan, when the run may stop before them; looking early then costs no error.
    """

    server: str
    workload: str
    metric: str
    current: tuple[float, ...]
    reference: Reference | None
    invalid: str | None
    tolerance: float
    promise: float
    planned: int | None = None


class _Case(msgspec.Struct, frozen=True, kw_only=True):
    """A cell that can be judged.

    speed: its speed over its reference's; limit: what a regression must lie below, 0 or, for a
    published figure, its tolerance (both logarithms).
    """

    cell: Cell
    reference: Reference
    speed: LogRatio
    limit: float


def judge(cells: Sequence[Cell], *, level: float = 0.01, family: int = 0) -> tuple[Verdict, ...]:
    """Verdicts in the order of `cells`; a regression still awaits its fresh launch (`confirm`).

    level: how often, at most, a run with nothing changed may fail. family: how many cells the whole run
    judges, when these are only some of them. Raises ValueError: level, tolerance or promise not in (0, 1).
    """
    limits = [(name, getattr(cell, name)) for cell in cells for name in ("tolerance", "promise")]
    for name, value in [("level", level), *limits]:
        if not 0 < value < 1:
            raise ValueError(f"{name} must lie between 0 and 1, got {value!r}")
    read = [_read(cell) for cell in cells]
    cases = [case for case in read if isinstance(case, _Case)]
    judged = iter(_judge_family(cases, level=level, family=max(family, len(cases))))
    return tuple(next(judged) if isinstance(one, _Case) else one for one in read)


def needs_confirmation(verdict: Verdict) -> bool:
    """Whether a fresh launch must reproduce this regression before it may fail anything."""
    return verdict.kind == "gate" and verdict.outcome is Outcome.REGRESSED and verdict.reproduced is None


def confirm(verdict: Verdict, cell: Cell, fresh: float) -> Verdict:
    """The regression after one fresh launch: it stands, or becomes inconclusive.

    fresh: the gated figure of that launch. It reproduces the regression when it is nearer to this run's
    launches than to the reference, and slower than nine in ten launches of an unchanged server would be.
    Raises ValueError: not a regression that awaits one, or fresh not finite and above zero.
    """
    case = _read(cell)
    if not needs_confirmation(verdict) or isinstance(case, Verdict):
        raise ValueError(f"only a regression awaits a fresh launch; this verdict is {verdict.outcome}")
    sign, n = _sign(cell), len(case.reference.values)
    mean, variance = log_moments(case.reference.values)
    fresh_log, _ = log_moments((fresh,))
    if case.reference.kind == "figure":
        usual = case.limit
    else:
        usual = float(stdtrit(n - 1, REPRODUCTION_TAIL)) * math.sqrt(variance * (1 + 1 / n))
    bound = sign * min(usual, case.speed.estimate / 2)
    reproduced = sign * (fresh_log - mean) < sign * bound
    return msgspec.structs.replace(
        verdict,
        outcome=Outcome.REGRESSED if reproduced else Outcome.INCONCLUSIVE,
        reproduced=math.exp(fresh_log - mean),
        reason=wording.confirmed(verdict, fresh=fresh, bound=math.exp(mean + bound), reproduced=reproduced),
    )


def _sign(cell: Cell) -> int:
    return 1 if direction(cell.metric) == "higher" else -1


def _read(cell: Cell) -> _Case | Verdict:
    """The cell compared with its reference, or the verdict that it cannot be."""
    reference = cell.reference
    problem = cell.invalid or _problem("this run", cell.current)
    if not problem and reference is not None:
        problem = _problem(reference.label, reference.values)
    if not problem and reference is not None:
        return _compare(cell, reference)
    current = None if problem else math.exp(log_moments(cell.current)[0])
    return Verdict(
        kind="gate",
        server=cell.server,
        workload=cell.workload,
        metric=cell.metric,
        outcome=Outcome.INVALID if current is None else Outcome.NO_BASELINE,
        current=current,
        launches=len(cell.current),
        reason=problem or wording.no_baseline(cell.metric, current),
    )


def _problem(of: str, values: Sequence[float]) -> str:
    """Why these values cannot be judged, empty if they can."""
    try:
        log_moments(values)
    except ValueError as error:
        return f"{of}: {error}"
    return ""


def _compare(cell: Cell, reference: Reference) -> _Case:
    match reference.kind:
        case "launches":
            ratio = welch(cell.current, reference.values)
        case "nights":
            ratio = against_history(cell.current, reference.values)
        case "figure":
            ratio = against_figure(cell.current, reference.values[0])
    return _Case(
        cell=cell,
        reference=reference,
        speed=LogRatio(
            estimate=_sign(cell) * ratio.estimate,
            # One launch knows nothing of its own spread, whatever the history says.
            se=ratio.se if len(cell.current) > 1 else math.inf,
            df=ratio.df,
        ),
        limit=math.log1p(-cell.tolerance) if reference.kind == "figure" else 0.0,
    )


def _judge_family(cases: Sequence[_Case], *, level: float, family: int) -> list[Verdict]:
    """Holm's step-down: each cell gets level / (cells not yet shown to be slower), until none follows."""
    tails: dict[int, float] = {}
    while len(tails) < len(cases):
        share = min(REPRODUCTION_GAIN * level / (family - len(tails)), 0.25)
        now = {i: _look(case, share) for i, case in enumerate(cases) if i not in tails}
        slower = {i: tail for i, tail in now.items() if cases[i].speed.p_below(cases[i].limit) <= tail}
        tails |= slower or now
    return [_verdict(case, tails[i]) for i, case in enumerate(cases)]


def _look(case: _Case, tail: float) -> float:
    """What of a cell's error may be used at this look; all of it without early stopping."""
    kind, planned = case.reference.kind, case.cell.planned
    if planned is None:
        return tail
    if kind == "nights":  # more launches tell no more of the nights: only the last look decides
        return tail if len(case.cell.current) >= planned else 0.0
    baseline = math.inf if kind == "figure" else len(case.reference.values)
    return look_tail(tail, launches=len(case.cell.current), planned=planned, baseline=baseline)


def _verdict(case: _Case, tail: float) -> Verdict:
    cell, speed = case.cell, case.speed
    low, high = speed.interval(tail) if tail else (0.0, math.inf)
    kept = 1 - cell.tolerance
    if high < math.exp(case.limit) and speed.ratio < kept:
        outcome = Outcome.REGRESSED
    elif low > math.exp(-case.limit) and speed.ratio > 1 / kept:
        outcome = Outcome.IMPROVED
    elif low > 1 - cell.promise:
        outcome = Outcome.PASS
    else:
        outcome = Outcome.INCONCLUSIVE
    known = math.isfinite(high)
    verdict = Verdict(
        kind="gate",
        server=cell.server,
        workload=cell.workload,
        metric=cell.metric,
        outcome=outcome,
        ratio=speed.ratio ** _sign(cell),
        ci_low=(low if _sign(cell) > 0 else 1 / high) if known else None,
        ci_high=(high if _sign(cell) > 0 else 1 / low) if known else None,
        min_detectable_drop=_detectable(case, tail),
        current=math.exp(log_moments(cell.current)[0]),
        baseline=math.exp(log_moments(case.reference.values)[0]),
        launches=len(cell.current),
        notes=(wording.small_drop(speed.ratio, cell.tolerance),)
        if outcome is Outcome.PASS and high < 1
        else (),
    )
    decides = _launches_to_decide(case, tail) if outcome is Outcome.INCONCLUSIVE else None
    reason = wording.gate(verdict, cell, case.reference, tail=tail, decides=decides)
    return msgspec.structs.replace(verdict, reason=reason)


def _detectable(case: _Case, tail: float) -> float | None:
    """Smallest drop that would have been called a regression at 80 % power."""
    if not tail or math.isinf(case.speed.se):
        return None
    seen = detectable_log(case.speed.se, case.speed.df, tail) - case.limit
    worth = -math.log1p(-case.cell.tolerance)
    return -math.expm1(-max(seen, worth))


def _launches_to_decide(case: _Case, tail: float) -> int | None:
    """How many launches in all would show a regression or exclude the promise, if the estimate is true.

    None when it cannot be said, or no number would do because the baseline holds too few.
    """
    cell, estimate = case.cell, case.speed.estimate
    if case.reference.kind == "nights" or not tail:
        return None
    gap = estimate - math.log1p(-cell.promise)
    if estimate < math.log1p(-cell.tolerance):
        gap = max(gap, case.limit - estimate)
    _, var_c = log_moments(cell.current)
    var_b = log_moments(case.reference.values)[1] if case.reference.kind == "launches" else 0.0
    needed = launches_needed(gap, var_c=var_c, var_b=var_b, n_b=len(case.reference.values), tail=tail)
    return None if needed is None else max(needed, len(cell.current) + 1)
