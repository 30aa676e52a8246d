"""The sentences of verdicts: figures with their units, and what they mean."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from tokgate.config.metric import find_metric
from tokgate.judge.verdict import Outcome, Verdict

if TYPE_CHECKING:
    from tokgate.config.hypothesis import Claim
    from tokgate.judge.cell import Cell, Reference


def figure_text(metric: str, value: float) -> str:
    """A figure with its unit, to four digits: `24.51 tok/s`."""
    return f"{f'{value:#.4g}'.rstrip('.')} {find_metric(metric).unit}".rstrip()


def percent(fraction: float) -> str:
    """Two significant digits from 1 % down, one decimal above: `0.85 %`, `5.7 %`, `12 %`."""
    value = 100 * fraction
    return f"{value:.1f} %".replace(".0 %", " %") if abs(value) >= 1 else f"{value:.2g} %"


def times(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "es" if what.endswith("ch") else "s")


def no_baseline(metric: str, current: float | None) -> str:
    figure = "" if current is None else f" {figure_text(metric, current)}"
    return f"{metric}{figure} stands alone: there is no baseline to judge it by"


def small_drop(ratio: float, tolerance: float) -> str:
    return f"a drop of {percent(1 - ratio)} is real, but within the tolerance of {percent(tolerance)}"


def _interval(verdict: Verdict, tail: float) -> str:
    """The ratio with its interval and that interval's level."""
    ratio = f"ratio {verdict.ratio:.3f}"
    if verdict.ci_low is None or verdict.ci_high is None:
        return f"{ratio}, without an interval"
    missed = 200 * tail  # percent; one digit of it is enough to name the level
    level = f"{100 - missed:.{max(0, -math.floor(math.log10(missed)))}f}"
    return f"{ratio}, {level} % interval {verdict.ci_low:.3f} to {verdict.ci_high:.3f}"


def gate(verdict: Verdict, cell: Cell, reference: Reference, *, tail: float, decides: int | None) -> str:
    """Why the gate said what it said."""
    meaning = _meaning(verdict, cell, reference, tail=tail, decides=decides)
    return f"{_facts(verdict, cell, reference)}: {_interval(verdict, tail)}; {meaning}{_stands_on(reference)}"


def confirmed(
    verdict: Verdict, cell: Cell, reference: Reference, *, tail: float, fresh: float, stands: bool
) -> str:
    """What one fresh launch, counted in, says of a regression."""
    figure = figure_text(cell.metric, fresh)
    change = percent(abs(1 - (verdict.ratio or 1)))
    if stands:
        meaning = f"{change} worse, and a fresh launch at {figure} reproduces it{_stands_on(reference)}"
    else:
        meaning = (
            f"{verdict.launches - 1} launches looked worse, but a fresh one at {figure} does not bear it out"
        )
    return f"{_facts(verdict, cell, reference)}: {_interval(verdict, tail)}; {meaning}"


def slower_machine(pace: float) -> str:
    lost = percent(1 - pace)
    return f"but the machine itself was {lost} slower by its yardstick, which no server can be blamed for: measure again"


def _facts(verdict: Verdict, cell: Cell, reference: Reference) -> str:
    current = figure_text(cell.metric, verdict.current or 0)
    baseline = figure_text(cell.metric, verdict.baseline or 0)
    return (
        f"{cell.metric} {current} over {times(verdict.launches, 'launch')}, {baseline} in {reference.label}"
    )


def _stands_on(reference: Reference) -> str:
    if reference.kind != "figure":
        return ""
    return "; it stands on one published figure, whose spread is not known"


def _meaning(verdict: Verdict, cell: Cell, reference: Reference, *, tail: float, decides: int | None) -> str:
    tolerance, promise = percent(cell.tolerance), percent(cell.promise)
    change = abs(1 - (verdict.ratio or 1))
    match verdict.outcome:
        case Outcome.REGRESSED | Outcome.IMPROVED:
            worse = "worse" if verdict.outcome is Outcome.REGRESSED else "better"
            return f"{percent(change)} {worse}, which is beyond the tolerance of {tolerance}"
        case Outcome.PASS:
            return f"a drop of {promise} is excluded"
    undecided = f"neither a regression nor the absence of a {promise} drop is shown"
    if not tail:
        return f"{undecided}: too few of the {cell.planned} planned launches have run"
    if verdict.min_detectable_drop is None:
        alone = "this run" if verdict.launches == 1 else reference.label
        return f"{undecided}: {alone} has one value and so no spread"
    seen = f"this run would have seen a drop of {percent(verdict.min_detectable_drop)}"
    if decides is not None:
        return f"{undecided}: {seen}; {decides} launches would decide"
    more = "more nights" if reference.kind == "nights" else "more launches of the baseline"
    return f"{undecided}: {seen}; only {more} would decide"


def bounds_text(claim: Claim, figure: Callable[[float], str] = "{:g}".format) -> str:
    """`above 1.2`, `above 0.95 and below 1.05`."""
    sides = [("above", claim.above), ("below", claim.below)]
    return " and ".join(f"{side} {figure(bound)}" for side, bound in sides if bound is not None)


def experiment(
    claim: Claim,
    ratio: float,
    ends: tuple[float, float],
    *,
    level: float,
    blocks: int,
    detectable: float,
) -> str:
    """What was found of B / A, and where it lies beside the claim."""
    claimed = bounds_text(claim)
    return (
        f"B / A of {claim.metric} is {ratio:.3f}, {100 * (1 - level):g} % interval {ends[0]:.3f} to {ends[1]:.3f}, "
        f"over {times(blocks, 'block')} ({4 * blocks} launches); claimed is {claimed}; "
        f"a ratio {percent(detectable)} from a bound would have been told apart in 8 of 10 such experiments"
    )


def share(claim: Claim, found: float, ends: tuple[float, float], *, level: float, launches: int) -> str:
    """What one server's figure is of what its chip allows, and where that lies beside the claim."""
    claimed = bounds_text(claim, percent)
    limit = "on paper" if claim.of == "paper" else "as measured on such chips"
    return (
        f"{claim.metric} is {percent(found)} of what the chip allows {limit}, {100 * (1 - level):g} % interval "
        f"{percent(ends[0])} to {percent(ends[1])}, over {times(launches, 'launch')}; claimed is {claimed}"
    )


def more_blocks(needed: int | None) -> str:
    if needed is None:
        return "the ratio is too near the claim for any number of blocks to decide"
    return f"{needed} blocks would decide"
