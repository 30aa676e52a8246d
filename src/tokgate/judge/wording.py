"""The sentences of verdicts: values with their units, and what they mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tokgate.config.words import (
    format_count,
    format_figure,
    format_interval,
    format_level,
    format_number,
    format_percent,
    format_ratio,
    is_bounded,
)
from tokgate.judge.verdict import Outcome, Verdict

if TYPE_CHECKING:
    from tokgate.config.hypothesis import Claim
    from tokgate.judge.cell import Cell, Reference


def explain_no_baseline(metric: str, current: float | None) -> str:
    figure = "" if current is None else f" {format_figure(metric, current)}"
    return f"{metric}{figure}: there is no baseline to compare it with"


def describe_small_drop(ratio: float, tolerance: float) -> str:
    return f"a drop of {format_percent(1 - ratio)} is real, but within the tolerance of {format_percent(tolerance)}"


def explain_gate(verdict: Verdict, cell: Cell, reference: Reference, *, tail: float, decides: int | None) -> str:
    """Why the gate decided as it did. tail: of the interval, on each side; decides: launches that would decide."""
    meaning = _explain_outcome(verdict, cell, reference, tail=tail, decides=decides)
    return f"{_state_figures(verdict, cell, reference)}: {_state_ratio(verdict, tail)}; {meaning}{_caution(reference)}"


def explain_confirmation(
    verdict: Verdict, cell: Cell, reference: Reference, *, tail: float, fresh_ratio: float, stands: bool
) -> str:
    """What one repeat launch, counted in, says about a regression.

    fresh_ratio: its value relative to the reference.
    stands: it confirms the regression.
    """
    figure = format_figure(cell.metric, cell.current[-1])
    repeat = f"a repeat {cell.unit} at {format_ratio(fresh_ratio) if reference.kind == 'pairs' else figure}"
    change = format_percent(abs(1 - (verdict.ratio or 1)))
    looked = f"the first {format_count(verdict.launches - 1, cell.unit)} looked worse"
    if stands:
        meaning = f"{change} worse, and {repeat} confirms it{_caution(reference)}"
    elif abs(fresh_ratio - 1) <= cell.tolerance:
        meaning = f"{looked}, but {repeat} did not confirm it: cannot tell"
    else:
        meaning = f"{looked}, and {repeat} was in between: cannot tell"
    return f"{_state_figures(verdict, cell, reference)}: {_state_ratio(verdict, tail)}; {meaning}"


def _state_ratio(verdict: Verdict, tail: float) -> str:
    """The ratio with its interval and that interval's level."""
    ratio = f"ratio {format_ratio(verdict.ratio)}"
    if verdict.ci_low is None or verdict.ci_high is None:
        return f"{ratio}, without an interval"
    return f"{ratio}, {format_level(2 * tail)} interval {format_interval(verdict.ci_low, verdict.ci_high)}"


def _state_figures(verdict: Verdict, cell: Cell, reference: Reference) -> str:
    current = format_figure(cell.metric, verdict.current or 0)
    baseline = format_figure(cell.metric, verdict.baseline or 0)
    launches = format_count(verdict.launches, cell.unit)
    return f"{cell.metric} {current} over {launches}, {baseline} in {reference.label}"


def _caution(reference: Reference) -> str:
    if reference.kind != "figure":
        return ""
    return "; it is based on one published figure, whose scatter is not known"


def _explain_outcome(verdict: Verdict, cell: Cell, reference: Reference, *, tail: float, decides: int | None) -> str:
    tolerance, promise = format_percent(cell.tolerance), format_percent(cell.promise)
    change = format_percent(abs(1 - (verdict.ratio or 1)))
    match verdict.outcome:
        case Outcome.REGRESSED | Outcome.IMPROVED:
            worse = "worse" if verdict.outcome is Outcome.REGRESSED else "better"
            return f"{change} {worse}, which is beyond the tolerance of {tolerance}"
        case Outcome.PASS:
            return f"a drop of {promise} is excluded"
    undecided = f"cannot tell: no regression is shown, and a drop of {promise} is not excluded"
    if not tail:
        return f"{undecided}; {describe_progress(verdict.launches, cell.planned or 0, cell.unit)}"
    if verdict.min_detectable_drop is None:
        alone = "this run" if verdict.launches == 1 else reference.label
        return f"{undecided}; {alone} has only one value, so its scatter is unknown"
    detectable = f"smallest detectable drop: {format_percent(verdict.min_detectable_drop)}"
    if decides is not None:
        return f"{undecided}; {detectable}; {format_count(decides, cell.unit)} would decide"
    if reference.kind == "pairs":
        return f"{undecided}; {detectable}; the ratio is too near the limits for any number of launch pairs to decide"
    more = "more nights" if reference.kind == "nights" else "more launches of the baseline"
    return f"{undecided}; {detectable}; only {more} would decide"


def describe_progress(count: int, planned: int, unit: str) -> str:
    return f"{count} of {format_count(planned, f'planned {unit}')} have run"


def format_bounds(claim: Claim, format_bound: Callable[[float], str] = format_number) -> str:
    """`above 1.2`, `above 0.95 and below 1.05`."""
    sides = [("above", claim.above), ("below", claim.below)]
    return " and ".join(f"{side} {format_bound(bound)}" for side, bound in sides if bound is not None)


def explain_ratio(
    claim: Claim,
    ratio: float,
    ends: tuple[float, float],
    *,
    of: str,
    level: float,
    replicates: str,
    detectable: float | None,
) -> str:
    """What was measured of a ratio, and where it lies relative to the claim.

    of: the arms, `B / A`.
    level: 0 without an interval.
    replicates: what it was measured over: `3 blocks (12 launches)`.
    detectable: None where it is unknown.
    """
    interval = f"{format_level(level)} interval {format_interval(*ends)}" if level else "without an interval"
    figures = f"{of} of {claim.metric} is {format_ratio(ratio)}, {interval}, over {replicates}"
    reason = f"{figures}; the claim is {format_bounds(claim)}"
    if detectable is None:
        return reason
    return f"{reason}; 8 of 10 such experiments detect a ratio that is {format_percent(detectable)} from a bound"


def explain_share(claim: Claim, share: float, ends: tuple[float, float], *, level: float, launches: int) -> str:
    """Which share of what its chip allows one server reaches, and where that lies relative to the claim."""
    limit = "on paper" if claim.of == "paper" else "as measured on such chips"
    interval = " to ".join(map(format_percent, ends)) if is_bounded(*ends) else format_interval(*ends)
    return (
        f"{claim.metric} is {format_percent(share)} of what the chip allows {limit}, {format_level(level)} interval "
        f"{interval}, over {format_count(launches, 'launch')}; "
        f"the claim is {format_bounds(claim, format_percent)}"
    )


def suggest_blocks(needed: int | None, unit: str) -> str:
    """unit: `block` or `launch pair`."""
    if needed is None:
        return f"the ratio is too near the claim for any number of {unit}s to decide"
    return f"{format_count(needed, unit)} would decide"
