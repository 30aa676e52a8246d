"""Trust: why the figures of a cell can be trusted, or why not."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tokgate.config.words import ABSENT, format_change, format_percent
from tokgate.measure.bias import compute_bias_shares
from tokgate.measure.measurement import Measurement
from tokgate.measure.reconcile import decode_difference
from tokgate.report.badge import Badge
from tokgate.report.table import Column

TRUST_COLUMNS = (
    Column(title="server", key="server"),
    Column(title="workload", key="workload"),
    Column(title="trusted", key="badge"),
    Column(title="valid launches", key="launches", right=True),
    Column(title="client bias", key="bias", wide=True),
    Column(title="answers", key="answers", wide=True),
    Column(title="client vs server", key="agrees", wide=True),
)


class TrustRow(msgspec.Struct, frozen=True, kw_only=True):
    """One server × workload, the worst of its launches; a dash where nothing is known.

    launches: `3 of 3`, the valid ones. bias: what the client adds, by gated metric, and whether that is
    within the tolerance of the run. answers: of the model, compared with stored ones, or by themselves.
    agrees: the client's decode rate compared with the server's own.
    """

    server: str
    workload: str
    badge: Badge
    launches: str
    bias: str
    answers: str
    agrees: str


def make_trust_rows(measurements: Sequence[Measurement]) -> tuple[TrustRow, ...]:
    """Every server × workload, in the order of the run."""
    cases: dict[tuple[str, str], list[Measurement]] = {}
    for run in measurements:
        cases.setdefault((run.server, run.workload), []).append(run)
    return tuple(_make_row(*case, launches) for case, launches in cases.items())


def _make_row(server: str, workload: str, launches: Sequence[Measurement]) -> TrustRow:
    valid = sum(run.valid for run in launches)
    rules = {problem.rule for run in launches for problem in run.problems}
    return TrustRow(
        server=server,
        workload=workload,
        badge=Badge("✓", "yes", "good") if valid == len(launches) else Badge("!", "no", "unsure"),
        launches=f"{valid} of {len(launches)}",
        bias=_describe_bias(launches, "client_bias" in rules),
        answers=_describe_answers(launches, "canary" in rules),
        agrees=_describe_agreement(launches, "client_server_disagree" in rules),
    )


def _describe_bias(launches: Sequence[Measurement], wrong: bool) -> str:
    worst: dict[str, float] = {}
    for run in launches:
        if run.bias is None:
            continue
        for metric, share in compute_bias_shares(run.bias, run.metrics).items():
            if metric in run.gated:
                worst[metric] = max(worst.get(metric, 0.0), share, key=abs)
    text = ", ".join(f"{metric} {format_change(share)}" for metric, share in worst.items()) or ABSENT
    return f"! {text}: beyond the tolerance" if wrong else text


def _describe_answers(launches: Sequence[Measurement], wrong: bool) -> str:
    canaries = [run.canary for run in launches if run.canary is not None]
    if not canaries:
        return ABSENT
    agreements = [canary.agreement for canary in canaries if canary.agreement is not None]
    text = (
        f"{format_percent(min(agreements))} same as stored"
        if agreements
        else f"{min(canary.right for canary in canaries)} of {canaries[0].known} known ones right, none stored"
    )
    return f"! {text}: the model does not answer correctly" if wrong else text


def _describe_agreement(launches: Sequence[Measurement], wrong: bool) -> str:
    off = [share for run in launches if (share := decode_difference(run.samples)) is not None]
    text = format_change(max(off, key=abs)) if off else ABSENT
    return f"! {text}: they disagree" if wrong else text
