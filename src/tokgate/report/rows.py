"""The rows of the two verdict tables, as text and positions: nothing is left for a template to compute."""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec

from tokgate.config.hypothesis import Claim, Hypothesis
from tokgate.config.words import (
    ABSENT,
    format_figure,
    format_interval,
    format_number,
    format_percent,
    format_ratio,
)
from tokgate.judge.hypothesis import format_arm
from tokgate.judge.verdict import Outcome, Verdict
from tokgate.judge.wording import format_bounds
from tokgate.measure.roofline import compute_use
from tokgate.report.badge import Badge, badge
from tokgate.report.headline import change, contradictions
from tokgate.report.terminal import roofline_words, rooflines
from tokgate.store.runs import RunRecord

_LEAST_SPAN, _MOST_SPAN = math.log(1.1), math.log(5)


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """An interval as positions from 0 to 100 on a log scale of ratios that all rows of a table share.

    marks: where the ratio 1, or the claim's bounds, stand. text: the same, to be read aloud.
    """

    low: float
    high: float
    at: float
    marks: tuple[float, ...]
    text: str


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One verdict of the gate."""

    server: str
    workload: str
    metric: str
    badge: Badge
    now: str
    baseline: str
    change: str
    ratio: str
    interval: str
    sees: str
    roofline: str
    bar: Bar | None
    reason: str


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """One hypothesis: what was claimed, what was seen, and whether that stands against what is on record.

    status: as recorded before this run; contradiction: the sentence of the failing test, empty if none.
    """

    name: str
    title: str
    claim: str
    badge: Badge
    status: str
    ratio: str
    interval: str
    arms: str
    bar: Bar | None
    reason: str
    rival: str
    source: str
    contradiction: str


def rows(record: RunRecord) -> tuple[Row, ...]:
    """Every verdict of the gate, by server: those with a regression first, else in the order of the run."""
    gates = [one for one in record.verdicts if one.kind == "gate"]
    worse = {one.server for one in gates if one.outcome is Outcome.REGRESSED}
    order = list(dict.fromkeys(one.server for one in gates))
    gates.sort(key=lambda one: (one.server not in worse, order.index(one.server)))
    span = _span(end for one in gates for end in (one.ci_low, one.ci_high, one.ratio))
    roofs = rooflines(record)
    return tuple(
        Row(
            server=one.server,
            workload=one.workload,
            metric=one.metric,
            badge=badge(one.outcome),
            now=format_figure(one.metric, one.current),
            baseline=format_figure(one.metric, one.baseline),
            change=change(one),
            ratio=format_ratio(one.ratio),
            interval=format_interval(one.ci_low, one.ci_high),
            sees=ABSENT if one.min_detectable_drop is None else format_percent(one.min_detectable_drop),
            roofline=roofline_words(
                compute_use(roofs.get((one.server, one.workload)), one.metric, one.current), one.metric
            ),
            bar=_bar(one, span, (1.0,)),
            reason="; ".join((one.reason, *one.notes)),
        )
        for one in gates
    )


def experiments(record: RunRecord) -> tuple[Experiment, ...]:
    """Every hypothesis of the run, tested or not, contradicted ones first."""
    verdicts = {one.hypothesis: one for one in record.verdicts if one.kind == "hypothesis"}
    known = {one.name: one for one in record.hypotheses}
    against = {one.hypothesis: message for one, message in contradictions(record)}
    bounds = [bound for one in known.values() for bound in (one.claim.above, one.claim.below)]
    span = _span([*bounds, *(e for v in verdicts.values() for e in (v.ci_low, v.ci_high, v.ratio))])
    names = dict.fromkeys((*known, *(name for name in verdicts if name is not None)))
    told = [_experiment(name, verdicts.get(name), known.get(name), against.get(name), span) for name in names]
    return tuple(sorted(told, key=lambda one: not one.contradiction))


def _experiment(
    name: str, verdict: Verdict | None, claimed: Hypothesis | None, against: str | None, span: float
) -> Experiment:
    claim = claimed.claim if claimed else Claim()
    bounds = tuple(bound for bound in (claim.above, claim.below) if bound is not None)
    shown = badge(verdict.outcome) if verdict else Badge("○", "open", "plain")
    return Experiment(
        name=name,
        title=claimed.title if claimed else "",
        claim=_claim(claim) if claimed else "not on record",
        badge=Badge("✕", f"{shown.word}, against {_stands(claimed)}", "bad") if against else shown,
        status=claimed.status if claimed else "not on record",
        ratio=format_ratio(verdict.ratio if verdict else None),
        interval=format_interval(verdict.ci_low, verdict.ci_high) if verdict else ABSENT,
        arms=_arms(verdict) if verdict else ABSENT,
        bar=_bar(verdict, span, bounds) if verdict else None,
        reason="; ".join((verdict.reason, *verdict.notes)) if verdict else "not tested in this run",
        rival=claimed.rival if claimed else "",
        source=claimed.source if claimed else "",
        contradiction=against or "",
    )


def _stands(claimed: Hypothesis | None) -> str:
    return "the claim" if claimed is None or claimed.status == "open" else "the record"


def _claim(claim: Claim) -> str:
    if claim.fails is not None:
        return f"{format_arm(claim.fails)} does not start" + (f": {claim.cause}" if claim.cause else "")
    if claim.untreated:
        return "the treatment does not reach the server"
    if claim.reach is not None:
        return f"{format_figure(claim.metric or '', claim.reach)} are within reach of the chip"
    ratio = f"{claim.arm} / each other arm" if claim.arm else "B / A"
    of = ratio if claim.of is None else f"share of the roofline ({claim.of})"
    return f"{claim.metric} {of} {format_bounds(claim)}"


def _arms(verdict: Verdict) -> str:
    if verdict.baseline is None or verdict.current is None:
        return ABSENT
    a, b = (format_figure(verdict.metric, value) for value in (verdict.baseline, verdict.current))
    return f"{a} → {b}"


def _span(ratios: Iterable[float | None]) -> float:
    """Half the width of a table's log scale: wide enough for all, within reason."""
    known = [abs(math.log(ratio)) for ratio in ratios if ratio is not None and ratio > 0]
    return min(max([_LEAST_SPAN, *(1.05 * one for one in known)]), _MOST_SPAN)


def _bar(verdict: Verdict, span: float, marks: tuple[float, ...]) -> Bar | None:
    if verdict.ratio is None or verdict.ratio <= 0:
        return None
    low, high = verdict.ci_low or verdict.ratio, verdict.ci_high or verdict.ratio
    beside = " and ".join(format_number(mark) for mark in marks)
    return Bar(
        low=_position(low, span),
        high=_position(high, span),
        at=_position(verdict.ratio, span),
        marks=tuple(_position(mark, span) for mark in marks),
        text=f"ratio {format_ratio(verdict.ratio)}, interval {format_interval(verdict.ci_low, verdict.ci_high)}"
        + (f", beside {beside}" if marks else ""),
    )


def _position(ratio: float, span: float) -> float:
    at = 50 + 50 * math.log(max(ratio, 1e-9)) / span
    return round(min(max(at, 0.0), 100.0), 2)
