"""The rows of the two verdict tables with their columns; nothing is left for a renderer to compute."""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec

from tokgate.config.hypothesis import Claim, Hypothesis
from tokgate.config.words import (
    ABSENT,
    format_age,
    format_figure,
    format_interval,
    format_number,
    format_ratio,
)
from tokgate.judge.cell import CaseKey
from tokgate.judge.hypothesis import format_arm
from tokgate.judge.verdict import Outcome, Verdict
from tokgate.judge.wording import format_bounds
from tokgate.measure.metrics import compute_geometric_mean
from tokgate.measure.roofline import Use, compute_use
from tokgate.report.badge import Badge, make_badge
from tokgate.report.headline import describe_change, find_contradictions
from tokgate.report.roofline import Rooflines, collect_rooflines, format_share, format_used
from tokgate.report.table import Column
from tokgate.store.runs import RunRecord, compute_age_s

# Half the width of the scale of bars: noise of 1 % must look like noise, and a factor of 5 is large enough to see.
_LEAST_SPAN, _MOST_SPAN = math.log(1.1), math.log(5)


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """An interval as positions from 0 to 100 on a log scale of ratios that all rows of a table share.

    marks: the positions of ratio 1, or of the claim's bounds. text: the same for screen readers.
    """

    low: float
    high: float
    at: float
    marks: tuple[float, ...]
    text: str


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One verdict of the gate. now: what was measured, in parentheses if it is invalid. dim: whether it is invalid."""

    server: str
    cell: str
    verdict: Verdict
    badge: Badge
    now: str
    used: Use
    bar: Bar | None
    reason: str
    dim: bool


_NO_USE = Use(of_paper=None, of_measured=None, possible=None)
_UNTESTED = Verdict(
    kind="hypothesis",
    server="",
    workload="",
    metric="",
    outcome=Outcome.INCONCLUSIVE,
    reason="not tested in this run",
)

VERDICT_COLUMNS: tuple[Column[Row], ...] = (
    Column("server", lambda row: row.server),
    Column("workload, metric", lambda row: row.cell),
    Column("verdict", lambda row: row.badge),
    Column("now", lambda row: row.now, right=True),
    Column("baseline", lambda row: format_figure(row.verdict.metric, row.verdict.baseline), right=True),
    Column("change", lambda row: describe_change(row.verdict), right=True, drop=3),
    Column("ratio", lambda row: format_ratio(row.verdict.ratio), right=True),
    Column("interval", lambda row: format_interval(row.verdict.ci_low, row.verdict.ci_high), right=True, drop=1),
    Column("can detect", lambda row: format_share(row.verdict.min_detectable_drop), right=True, drop=2),
    Column("uses", lambda row: format_used(row.used), right=True, drop=6),
    Column("of paper", lambda row: format_share(row.used.of_paper), right=True, drop=4),
    Column("of measured", lambda row: format_share(row.used.of_measured), right=True, drop=5),
    Column("possible", lambda row: format_figure(row.verdict.metric, row.used.possible), right=True, drop=7),
)


class ExperimentRow(msgspec.Struct, frozen=True, kw_only=True):
    """One hypothesis: the claim, the result, and whether that contradicts the record.

    hypothesis: as recorded before this run. verdict: without values if this run did not test it.
    arms: what was measured, in parentheses if it is invalid. dim: whether it is invalid.
    used: what arm A and arm B use of the chip. contradiction: the sentence of the failing test, empty if none.
    age: of a verdict that is known from an earlier run; empty if this run measured it.
    """

    name: str
    hypothesis: Hypothesis | None
    verdict: Verdict
    badge: Badge
    arms: str
    used: tuple[Use, ...]
    bar: Bar | None
    reason: str
    dim: bool
    contradiction: str
    tested: bool
    age: str


def make_verdict_rows(record: RunRecord) -> tuple[Row, ...]:
    """Every verdict of the gate, by server: those with a regression first, else in the order of the run."""
    gates = [verdict for verdict in record.verdicts if verdict.kind == "gate"]
    worse = {verdict.server for verdict in gates if verdict.outcome is Outcome.REGRESSED}
    order = list(dict.fromkeys(verdict.server for verdict in gates))
    gates.sort(key=lambda verdict: (verdict.server not in worse, order.index(verdict.server)))
    span = _find_span(end for verdict in gates for end in (verdict.ci_low, verdict.ci_high, verdict.ratio))
    roofs = collect_rooflines(record)
    return tuple(_make_row(verdict, record, roofs, span) for verdict in gates)


def _make_row(verdict: Verdict, record: RunRecord, roofs: Rooflines, span: float) -> Row:
    current = verdict.current
    if current is None and verdict.outcome is Outcome.INVALID:
        current = _find_measured(verdict, record, verdict.server)
    return Row(
        server=verdict.server,
        cell=f"{verdict.workload} {verdict.metric}",
        verdict=verdict,
        badge=make_badge(verdict.outcome),
        now=_format_measured(verdict, current),
        used=_find_use(roofs, verdict.server, verdict, verdict.current),
        bar=_make_bar(verdict, span, (1.0,)),
        reason="; ".join((verdict.reason, *verdict.notes)),
        dim=verdict.outcome is Outcome.INVALID,
    )


def _find_use(roofs: Rooflines, server: str, verdict: Verdict, value: float | None) -> Use:
    return compute_use(roofs.get(CaseKey(server, verdict.workload)), verdict.metric, value) or _NO_USE


def _format_measured(verdict: Verdict, value: float | None) -> str:
    """`118.2 tok/s`; in parentheses if it does not count, because it is invalid."""
    text = format_figure(verdict.metric, value)
    return f"({text})" if verdict.outcome is Outcome.INVALID and value is not None else text


def _find_measured(verdict: Verdict, record: RunRecord, server: str) -> float | None:
    """What the launches of a server measured, valid or not; None without a value above zero."""
    values = [
        dict(run.gated).get(verdict.metric, 0.0)
        for run in record.measurements
        if (run.server, run.workload) == (server, verdict.workload)
    ]
    return compute_geometric_mean(values) if values and min(values) > 0 else None


def make_experiment_rows(record: RunRecord) -> tuple[ExperimentRow, ...]:
    """Every hypothesis of the run, tested or not, contradicted ones first."""
    verdicts = {verdict.hypothesis: verdict for verdict in record.verdicts if verdict.kind == "hypothesis"}
    known = {hypothesis.name: hypothesis for hypothesis in record.hypotheses}
    against = {verdict.hypothesis: message for verdict, message in find_contradictions(record)}
    all_bounds = [bound for each in known.values() for bound in (each.claim.above, each.claim.below)]
    span = _find_span([*all_bounds, *(e for v in verdicts.values() for e in (v.ci_low, v.ci_high, v.ratio))])
    roofs = collect_rooflines(record)
    rows = []
    for name in dict.fromkeys((*known, *(name for name in verdicts if name is not None))):
        tested = name in verdicts
        verdict = verdicts.get(name, _UNTESTED)
        hypothesis = known.get(name)
        claim = hypothesis.claim if hypothesis else Claim()
        bounds = tuple(bound for bound in (claim.above, claim.below) if bound is not None)
        badge = make_badge(verdict.outcome) if tested else Badge("○", "open", "plain")
        if name in against:
            contradicted = "the claim" if hypothesis is None or hypothesis.status == "open" else "the record"
            badge = Badge("✕", f"{badge.word}, against {contradicted}", "bad")
        rows.append(
            ExperimentRow(
                name=name,
                hypothesis=hypothesis,
                verdict=verdict,
                badge=badge,
                arms=_describe_arms(verdict, name, record),
                used=tuple(
                    _find_use(roofs, f"{name}/{arm}", verdict, value)
                    for arm, value in (("a", verdict.baseline), ("b", verdict.current))
                ),
                bar=_make_bar(verdict, span, bounds),
                reason="; ".join((verdict.reason, *verdict.notes)).replace("--run RUN", f"--run {record.run_id}"),
                dim=verdict.outcome is Outcome.INVALID,
                contradiction=against.get(name, ""),
                tested=tested,
                age=_describe_age(verdict, record),
            )
        )
    return tuple(sorted(rows, key=lambda row: not row.contradiction))


def _describe_claim(hypothesis: Hypothesis | None) -> str:
    if hypothesis is None:
        return "not on record"
    claim = hypothesis.claim
    if claim.fails is not None:
        return f"{format_arm(claim.fails)} does not start" + (f": {claim.cause}" if claim.cause else "")
    if claim.untreated:
        return "the treatment does not reach the server"
    if claim.reach is not None:
        return f"{format_figure(claim.metric or '', claim.reach)} is within reach of the chip"
    ratio = f"{claim.arm} / each other arm" if claim.arm else "B / A"
    if claim.of is not None:
        ratio = f"share of the roofline ({claim.of})"
    return f"{claim.metric} {ratio} {format_bounds(claim)}"


def _describe_arms(verdict: Verdict, name: str, record: RunRecord) -> str:
    """`24.51 tok/s → 31.2 tok/s`; of an invalid test what its two arms measured all the same."""
    values = [verdict.baseline, verdict.current]
    if verdict.outcome is Outcome.INVALID:
        values = [_find_measured(verdict, record, f"{name}/{arm}") for arm in ("a", "b")]
    if None in values:
        return ABSENT
    return " → ".join(_format_measured(verdict, value) for value in values)


def _describe_age(verdict: Verdict, record: RunRecord) -> str:
    return "" if verdict.known is None else format_age(compute_age_s(verdict.known.started, record.started))


def _describe_shares(shares: Iterable[float | None]) -> str:
    """`70 % → 80.2 %`: what arm A and arm B reach of what the chip allows."""
    texts = [format_share(share) for share in shares]
    return ABSENT if texts == [ABSENT, ABSENT] else " → ".join(texts)


HYPOTHESIS_COLUMNS: tuple[Column[ExperimentRow], ...] = (
    Column("hypothesis", lambda row: row.name),
    Column("outcome", lambda row: row.badge),
    Column("on record", lambda row: row.hypothesis.status if row.hypothesis else "not on record", drop=4),
    Column("claim", lambda row: _describe_claim(row.hypothesis), wide=True, drop=7),
    Column("other → claimed arm", lambda row: row.arms, right=True),
    Column("ratio", lambda row: format_ratio(row.verdict.ratio), right=True),
    Column("interval", lambda row: format_interval(row.verdict.ci_low, row.verdict.ci_high), right=True, drop=1),
    Column("age", lambda row: row.age, right=True, drop=2),
    Column("launches", lambda row: str(row.verdict.launches or ABSENT), right=True, drop=3),
    Column("of paper", lambda row: _describe_shares(use.of_paper for use in row.used), right=True, drop=5),
    Column(
        "of measured",
        lambda row: _describe_shares(use.of_measured for use in row.used),
        right=True,
        drop=6,
    ),
)


def _find_span(ratios: Iterable[float | None]) -> float:
    """Half the width of a table's log scale: wide enough for all, within reason."""
    known = [abs(math.log(ratio)) for ratio in ratios if ratio is not None and ratio > 0]
    return min(max([_LEAST_SPAN, *(1.05 * distance for distance in known)]), _MOST_SPAN)


def _make_bar(verdict: Verdict, span: float, marks: tuple[float, ...]) -> Bar | None:
    if verdict.ratio is None or verdict.ratio <= 0:
        return None
    low, high = verdict.ci_low or verdict.ratio, verdict.ci_high or verdict.ratio
    beside = " and ".join(map(format_number, marks))
    return Bar(
        low=_find_position(low, span),
        high=_find_position(high, span),
        at=_find_position(verdict.ratio, span),
        marks=tuple(_find_position(mark, span) for mark in marks),
        text=f"ratio {format_ratio(verdict.ratio)}, interval {format_interval(verdict.ci_low, verdict.ci_high)}"
        + (f", compared with {beside}" if marks else ""),
    )


def _find_position(ratio: float, span: float) -> float:
    at = 50 + 50 * math.log(max(ratio, 1e-9)) / span
    return round(min(max(at, 0.0), 100.0), 2)
