"""The rows of the two verdict tables with their columns; nothing is left for a renderer to compute."""

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
    format_ratio,
)
from tokgate.judge.cell import CaseKey
from tokgate.judge.hypothesis import format_arm
from tokgate.judge.verdict import Outcome, Verdict
from tokgate.judge.wording import format_bounds
from tokgate.measure.metrics import compute_geometric_mean
from tokgate.measure.roofline import compute_use
from tokgate.report.badge import Badge, make_badge
from tokgate.report.headline import describe_change, find_contradictions
from tokgate.report.roofline import Rooflines, collect_rooflines, format_share, format_used
from tokgate.report.table import Column
from tokgate.store.runs import RunRecord

# Half the width of the scale of bars: noise of 1 % must look like noise, and a factor of 5 is large enough to see.
_LEAST_SPAN, _MOST_SPAN = math.log(1.1), math.log(5)

VERDICT_COLUMNS = (
    Column(title="server", key="server"),
    Column(title="workload, metric", key="cell"),
    Column(title="verdict", key="badge"),
    Column(title="now", key="now", right=True),
    Column(title="baseline", key="baseline", right=True),
    Column(title="change", key="change", right=True, drop=3),
    Column(title="ratio", key="ratio", right=True),
    Column(title="interval", key="interval", right=True, drop=1),
    Column(title="can detect", key="can_detect", right=True, drop=2),
    Column(title="uses", key="uses", right=True, drop=6),
    Column(title="of paper", key="of_paper", right=True, drop=4),
    Column(title="of measured", key="of_measured", right=True, drop=5),
    Column(title="possible", key="possible", right=True, drop=7),
)

HYPOTHESIS_COLUMNS = (
    Column(title="hypothesis", key="name"),
    Column(title="outcome", key="badge"),
    Column(title="on record", key="status", drop=4),
    Column(title="claim", key="claim", wide=True, drop=7),
    Column(title="A → B", key="arms", right=True),
    Column(title="ratio", key="ratio", right=True),
    Column(title="interval", key="interval", right=True, drop=1),
    Column(title="launches", key="launches", right=True, drop=3),
    Column(title="of paper", key="of_paper", right=True, drop=5),
    Column(title="of measured", key="of_measured", right=True, drop=6),
)


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
    """One verdict of the gate.

    dim: whether the value is of an invalid measurement. uses, of_paper, of_measured, possible: see `roofline`.
    """

    server: str
    workload: str
    metric: str
    badge: Badge
    now: str
    baseline: str
    change: str
    ratio: str
    interval: str
    can_detect: str
    uses: str
    of_paper: str
    of_measured: str
    possible: str
    bar: Bar | None
    reason: str
    dim: bool

    @property
    def cell(self) -> str:
        return f"{self.workload} {self.metric}"


class ExperimentRow(msgspec.Struct, frozen=True, kw_only=True):
    """One hypothesis: the claim, the result, and whether that contradicts the record.

    status: as recorded before this run; contradiction: the sentence of the failing test, empty if none.
    of_paper, of_measured: shares of the roofline, arm by arm.
    """

    name: str
    title: str
    claim: str
    badge: Badge
    status: str
    ratio: str
    interval: str
    arms: str
    launches: str
    of_paper: str
    of_measured: str
    bar: Bar | None
    reason: str
    rival: str
    source: str
    contradiction: str
    tested: bool


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
        current = _find_measured(verdict, record)
    used = compute_use(roofs.get(CaseKey(verdict.server, verdict.workload)), verdict.metric, verdict.current)
    return Row(
        server=verdict.server,
        workload=verdict.workload,
        metric=verdict.metric,
        badge=make_badge(verdict.outcome),
        now=format_figure(verdict.metric, current),
        baseline=format_figure(verdict.metric, verdict.baseline),
        change=describe_change(verdict),
        ratio=format_ratio(verdict.ratio),
        interval=format_interval(verdict.ci_low, verdict.ci_high),
        can_detect=format_share(verdict.min_detectable_drop),
        uses=format_used(used),
        of_paper=format_share(used.of_paper if used else None),
        of_measured=format_share(used.of_measured if used else None),
        possible=format_figure(verdict.metric, used.possible if used else None),
        bar=_make_bar(verdict, span, (1.0,)),
        reason="; ".join((verdict.reason, *verdict.notes)),
        dim=verdict.outcome is Outcome.INVALID,
    )


def _find_measured(verdict: Verdict, record: RunRecord) -> float | None:
    """What the launches of a cell measured, valid or not; None without a value above zero."""
    values = [
        dict(run.gated).get(verdict.metric, 0.0)
        for run in record.measurements
        if (run.server, run.workload) == (verdict.server, verdict.workload)
    ]
    return compute_geometric_mean(values) if values and min(values) > 0 else None


def make_experiment_rows(record: RunRecord) -> tuple[ExperimentRow, ...]:
    """Every hypothesis of the run, tested or not, contradicted ones first."""
    verdicts = {verdict.hypothesis: verdict for verdict in record.verdicts if verdict.kind == "hypothesis"}
    known = {hypothesis.name: hypothesis for hypothesis in record.hypotheses}
    against = {verdict.hypothesis: message for verdict, message in find_contradictions(record)}
    bounds = [bound for each in known.values() for bound in (each.claim.above, each.claim.below)]
    span = _find_span([*bounds, *(e for v in verdicts.values() for e in (v.ci_low, v.ci_high, v.ratio))])
    names = dict.fromkeys((*known, *(name for name in verdicts if name is not None)))
    roofs = collect_rooflines(record)
    rows = [
        _make_experiment_row(
            name, verdicts.get(name), known.get(name), against.get(name), roofs, span, record.run_id
        )
        for name in names
    ]
    return tuple(sorted(rows, key=lambda row: not row.contradiction))


def _make_experiment_row(
    name: str,
    verdict: Verdict | None,
    hypothesis: Hypothesis | None,
    against: str | None,
    roofs: Rooflines,
    span: float,
    run_id: str,
) -> ExperimentRow:
    claim = hypothesis.claim if hypothesis else Claim()
    bounds = tuple(bound for bound in (claim.above, claim.below) if bound is not None)
    result = make_badge(verdict.outcome) if verdict else Badge("○", "open", "plain")
    if against:
        contradicted = "the claim" if hypothesis is None or hypothesis.status == "open" else "the record"
        result = Badge("✕", f"{result.word}, against {contradicted}", "bad")
    reason = "; ".join((verdict.reason, *verdict.notes)) if verdict else "not tested in this run"
    return ExperimentRow(
        name=name,
        title=hypothesis.title if hypothesis else "",
        claim=_describe_claim(claim) if hypothesis else "not on record",
        badge=result,
        status=hypothesis.status if hypothesis else "not on record",
        ratio=format_ratio(verdict.ratio if verdict else None),
        interval=format_interval(verdict.ci_low, verdict.ci_high) if verdict else ABSENT,
        arms=_describe_arms(verdict) if verdict else ABSENT,
        launches=str(verdict.launches) if verdict and verdict.launches else ABSENT,
        of_paper=_describe_shares(verdict, roofs, "of_paper") if verdict else ABSENT,
        of_measured=_describe_shares(verdict, roofs, "of_measured") if verdict else ABSENT,
        bar=_make_bar(verdict, span, bounds) if verdict else None,
        reason=reason.replace("--run RUN", f"--run {run_id}"),
        rival=hypothesis.rival if hypothesis else "",
        source=hypothesis.source if hypothesis else "",
        contradiction=against or "",
        tested=verdict is not None,
    )


def _describe_claim(claim: Claim) -> str:
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


def _describe_arms(verdict: Verdict) -> str:
    if verdict.baseline is None or verdict.current is None:
        return ABSENT
    a, b = (format_figure(verdict.metric, value) for value in (verdict.baseline, verdict.current))
    return f"{a} → {b}"


def _describe_shares(verdict: Verdict, roofs: Rooflines, share: str) -> str:
    """`70 % → 80.2 %`: what arm A and arm B reach of what the chip allows."""
    shares = []
    for arm, value in (("a", verdict.baseline), ("b", verdict.current)):
        used = compute_use(
            roofs.get(CaseKey(f"{verdict.hypothesis}/{arm}", verdict.workload)), verdict.metric, value
        )
        shares.append(format_share(getattr(used, share, None)))
    return ABSENT if shares == [ABSENT, ABSENT] else " → ".join(shares)


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
