"""The gate: cells of a run compared with their references, with one error rate for the whole run.

The drop of a cell is the fraction by which its speed falls; for ttft_s, tpot_s and itl_s the speed is one
over the figure, so a drop of 8 % is a time 1 / 0.92 as long.

Two stages share the error of the run. `judge` screens: the tails of its intervals are five times what
Holm's procedure gives each cell of the family, so it calls too many cells regressed rather than too few.
`confirm` concludes, with one more launch and exactly Holm's tail, so that whatever was screened, a run with
nothing changed fails at most as often as `level` says.

A pass has the other error, a drop that is missed. Only a cell that dropped can be missed, whatever else runs,
so this error is not divided: a cell that dropped by its promise passes at most as often as `level` says.
`bench/error_rates.py` shows both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import msgspec

from tokgate.config.metric import find_metric
from tokgate.judge import wording
from tokgate.judge.cell import Cell, Reference
from tokgate.judge.power import detectable_log, fewest, gate_drop
from tokgate.judge.sequential import look_tail
from tokgate.judge.stats import LogRatio, against_figure, against_history, against_pairs, log_moments, mean_error, welch
from tokgate.judge.verdict import Outcome, Verdict

SCREEN = 5.0
"""How much more often than `level` an unchanged run may need a repeat launch."""


class _CellRatio(msgspec.Struct, frozen=True, kw_only=True):
    """A cell that can be judged.

    speed: log ratio of its speed to its reference's.
    limit: what a regression must lie below (log): 0, or for a published figure its tolerance.
    current, baseline: mean and variance of the log values.
    """

    cell: Cell
    reference: Reference
    speed: LogRatio
    limit: float
    current: tuple[float, float]
    baseline: tuple[float, float]


def judge(cells: Sequence[Cell], *, level: float = 0.01, family: int = 0) -> tuple[Verdict, ...]:
    """Verdicts in the order of `cells`; a regression still needs a repeat launch (`confirm`).

    level: how often, at most, a run with nothing changed may fail, and a cell that dropped by its promise pass.
    family: the number of cells that the whole run judges, when these are only some of them.
    Raises ValueError: level, tolerance or promise not in (0, 1).
    """
    limits = [(name, getattr(cell, name)) for cell in cells for name in ("tolerance", "promise")]
    for name, value in [("level", level), *limits]:
        if not 0 < value < 1:
            raise ValueError(f"{name} must be between 0 and 1, got {value!r}")
    read = [_read(cell) for cell in cells]
    ratios = [cell_ratio for cell_ratio in read if isinstance(cell_ratio, _CellRatio)]
    judged = iter(_judge_family(ratios, level=level, family=max(family, len(ratios))))
    return tuple(next(judged) if isinstance(result, _CellRatio) else result for result in read)


def needs_confirmation(verdict: Verdict) -> bool:
    """Whether a repeat launch must confirm this regression before it may fail anything."""
    return verdict.kind == "gate" and verdict.outcome is Outcome.REGRESSED and verdict.reproduced is None


def confirm(verdict: Verdict, cell: Cell) -> Verdict:
    """The regression after one repeat launch: confirmed or inconclusive.

    cell: as it was judged, with the repeat launch (of pairs: of both servers) as its last. To confirm, that
        launch must be nearer to this run's launches than to the reference, and together with them it must show
        the regression at the cell's share of the error.
    Raises ValueError: the verdict does not need confirmation, or a value is not finite and above zero.
    """
    if not needs_confirmation(verdict) or verdict.share is None:
        raise ValueError(f"only a regression needs a repeat launch; this verdict is {verdict.outcome}")
    before = _read(cell.drop_launch())
    if isinstance(before, Verdict):
        raise ValueError(f"before its last launch the cell could not be judged: {before.reason}")
    assert cell.reference is not None
    planned = None if cell.planned is None else cell.planned + 1
    cell_ratio = _compare(msgspec.structs.replace(cell, planned=planned), cell.reference)
    tail = _look(cell_ratio, verdict.share)
    after = _verdict(cell_ratio, share=verdict.share, tail=tail, miss=tail)
    compared_with = cell.reference.values[-1] if cell.reference.kind == "pairs" else math.exp(before.baseline[0])
    fresh_ratio = cell.current[-1] / compared_with
    nearer = _sign(cell) * math.log(fresh_ratio) < before.speed.estimate / 2
    stands = nearer and after.outcome is Outcome.REGRESSED
    reason = wording.explain_confirmation(
        after, cell, cell.reference, tail=tail, fresh_ratio=fresh_ratio, stands=stands
    )
    return msgspec.structs.replace(
        after,
        outcome=Outcome.REGRESSED if stands else Outcome.INCONCLUSIVE,
        min_detectable_drop=verdict.min_detectable_drop,
        reproduced=fresh_ratio,
        reason=reason,
    )


def _sign(cell: Cell) -> int:
    return 1 if find_metric(cell.metric).direction == "higher" else -1


def _read(cell: Cell) -> _CellRatio | Verdict:
    """The cell compared with its reference, or the verdict that this is not possible."""
    reference = cell.reference
    problem = cell.invalid or _problem("this run", cell.current)
    if not problem and reference is not None:
        problem = _problem(reference.label, reference.values) or _unpaired(cell, reference)
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
        design=reference.design if reference is not None else None,
        reason=problem or wording.explain_no_baseline(cell.metric, current),
    )


def _problem(of: str, values: Sequence[float]) -> str:
    """Why these values cannot be judged; empty if they can."""
    try:
        log_moments(values)
    except ValueError as error:
        return f"{of}: {error}"
    return ""


def _unpaired(cell: Cell, reference: Reference) -> str:
    """Why launches are not in pairs; empty if they are, or need not be."""
    if reference.kind != "pairs" or len(reference.values) == len(cell.current):
        return ""
    return f"{reference.label}: {len(reference.values)} values for {len(cell.current)} of this run; pairs need both"


def _compare(cell: Cell, reference: Reference) -> _CellRatio:
    match reference.kind:
        case "launches":
            ratio = welch(cell.current, reference.values)
        case "nights":
            ratio = against_history(cell.current, reference.values)
        case "figure":
            ratio = against_figure(cell.current, reference.values[0])
        case "pairs":
            ratio = against_pairs(cell.current, reference.values)
    return _CellRatio(
        cell=cell,
        reference=reference,
        speed=LogRatio(
            estimate=_sign(cell) * ratio.estimate,
            # The scatter of one launch is unknown, whatever the history says.
            se=ratio.se if len(cell.current) > 1 else math.inf,
            df=ratio.df,
        ),
        limit=math.log1p(-cell.tolerance) if reference.kind == "figure" else 0.0,
        current=log_moments(cell.current),
        baseline=log_moments(reference.values),
    )


def _judge_family(ratios: Sequence[_CellRatio], *, level: float, family: int) -> list[Verdict]:
    """Holm's step-down: each cell gets level / (cells not yet shown to be slower), until none follows."""
    shares: dict[int, float] = {}
    while len(shares) < len(ratios):
        share = level / (family - len(shares))
        now = [i for i in range(len(ratios)) if i not in shares]
        slower = [i for i in now if ratios[i].speed.p_below(ratios[i].limit) <= _look(ratios[i], share)]
        shares |= dict.fromkeys(slower or now, share)
    return [
        _verdict(
            cell_ratio,
            share=shares[i],
            tail=_look(cell_ratio, min(SCREEN * shares[i], 0.25)),
            miss=_look(cell_ratio, level),
        )
        for i, cell_ratio in enumerate(ratios)
    ]


def _look(cell_ratio: _CellRatio, tail: float) -> float:
    """The part of `tail` that may be used after this number of launches; all of it without early stopping."""
    kind, launches, planned = cell_ratio.reference.kind, len(cell_ratio.cell.current), cell_ratio.cell.planned
    if planned is None:
        return tail
    if kind == "nights":  # more launches add nothing about the nights: only the last look decides
        return tail if launches >= planned else 0.0
    baseline: float | None = len(cell_ratio.reference.values)
    if kind == "figure":
        baseline = math.inf
    elif kind == "pairs":
        baseline = None
    return look_tail(tail, launches=launches, planned=planned, baseline=baseline)


def _verdict(cell_ratio: _CellRatio, *, share: float, tail: float, miss: float) -> Verdict:
    """tail: of the interval that shows a change; miss: of the one that excludes the promise. Both 0: too early."""
    cell, speed = cell_ratio.cell, cell_ratio.speed
    outcome, basis = _outcome(cell_ratio, tail, miss)
    low, high = speed.interval(basis)
    known = low > 0 and math.isfinite(high)
    verdict = Verdict(
        kind="gate",
        server=cell.server,
        workload=cell.workload,
        metric=cell.metric,
        outcome=outcome,
        ratio=speed.ratio ** _sign(cell),
        ci_low=(low if _sign(cell) > 0 else 1 / high) if known else None,
        ci_high=(high if _sign(cell) > 0 else 1 / low) if known else None,
        min_detectable_drop=gate_drop(
            partial(_error, cell_ratio),
            len(cell.current),
            screen=tail,
            share=share,
            limit=cell_ratio.limit,
            tolerance=cell.tolerance,
        )
        if known
        else None,
        share=share,
        current=math.exp(cell_ratio.current[0]),
        baseline=math.exp(cell_ratio.baseline[0]),
        launches=len(cell.current),
        design=cell_ratio.reference.design,
        notes=(wording.describe_small_drop(speed.ratio, cell.tolerance),)
        if outcome is Outcome.PASS and speed.interval(tail)[1] < 1
        else (),
    )
    decides = _launches_to_decide(cell_ratio, tail, miss) if outcome is Outcome.INCONCLUSIVE else None
    reason = wording.explain_gate(verdict, cell, cell_ratio.reference, tail=basis, decides=decides)
    return msgspec.structs.replace(verdict, reason=reason, launches_to_decide=decides)


def _outcome(cell_ratio: _CellRatio, tail: float, miss: float) -> tuple[Outcome, float]:
    """The outcome, and the tail of the interval that it is based on."""
    cell, speed = cell_ratio.cell, cell_ratio.speed
    low, high = speed.interval(tail)
    kept = 1 - cell.tolerance
    if high < math.exp(cell_ratio.limit) and speed.ratio < kept:
        return Outcome.REGRESSED, tail
    if low > math.exp(-cell_ratio.limit) and speed.ratio > 1 / kept:
        return Outcome.IMPROVED, tail
    if speed.interval(miss)[0] > 1 - cell.promise:
        return Outcome.PASS, miss
    return Outcome.INCONCLUSIVE, min(tail, miss)


def _error(cell_ratio: _CellRatio, launches: int) -> tuple[float, float]:
    """Standard error and degrees of freedom the cell would have with this number of launches."""
    if cell_ratio.reference.kind == "nights":
        return cell_ratio.speed.se, cell_ratio.speed.df
    if cell_ratio.reference.kind == "figure":
        return math.sqrt(cell_ratio.current[1] / launches), launches - 1
    if cell_ratio.reference.kind == "pairs":
        return cell_ratio.speed.se * math.sqrt(len(cell_ratio.cell.current) / launches), launches - 1
    return mean_error((cell_ratio.current[1], launches), (cell_ratio.baseline[1], len(cell_ratio.reference.values)))


def _launches_to_decide(cell_ratio: _CellRatio, tail: float, miss: float) -> int | None:
    """How many launches in all would show a regression or exclude the promise, if the estimate is true.

    None when it is unknown, or when no number would decide because the reference has too few.
    """
    cell, estimate = cell_ratio.cell, cell_ratio.speed.estimate
    if not tail or math.isinf(cell_ratio.speed.se):
        return None
    gaps = [(miss, estimate - math.log1p(-cell.promise))]
    if estimate < math.log1p(-cell.tolerance):
        gaps.append((tail, cell_ratio.limit - estimate))
    needed = fewest(
        lambda launches: any(detectable_log(*_error(cell_ratio, launches), part) <= gap for part, gap in gaps)
    )
    return None if needed is None else max(needed, len(cell.current) + 1)
