"""Trust: why the figures of a cell can be trusted, or why not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tokgate.config.words import ABSENT, format_change, format_percent
from tokgate.judge.cell import CaseKey
from tokgate.measure.bias import compute_bias_shares
from tokgate.measure.measurement import Measurement
from tokgate.measure.reconcile import decode_difference
from tokgate.report.badge import Badge
from tokgate.report.table import Column


class TrustRow(NamedTuple):
    """One server × workload with its launches."""

    case: CaseKey
    launches: Sequence[Measurement]

    @property
    def badge(self) -> Badge:
        valid = all(run.valid for run in self.launches)
        return Badge("✓", "yes", "good") if valid else Badge("!", "no", "unsure")

    def warn(self, text: str, rule: str, meaning: str) -> str:
        """`text`, marked with its meaning where a launch breaks `rule`."""
        broken = any(problem.rule == rule for run in self.launches for problem in run.problems)
        return f"! {text}: {meaning}" if broken else text


def _describe_bias(row: TrustRow) -> str:
    """What the client adds, by gated metric, and whether that is within the tolerance of the run."""
    worst: dict[str, float] = {}
    for run in row.launches:
        if run.bias is None:
            continue
        for metric, share in compute_bias_shares(run.bias, run.metrics).items():
            if metric in run.gated:
                worst[metric] = max(worst.get(metric, 0.0), share, key=abs)
    text = ", ".join(f"{metric} {format_change(share)}" for metric, share in worst.items()) or ABSENT
    return row.warn(text, "client_bias", "beyond the tolerance")


def _describe_answers(row: TrustRow) -> str:
    """Answers of the model, compared with stored ones, or by themselves."""
    canaries = [run.canary for run in row.launches if run.canary is not None]
    if not canaries:
        return ABSENT
    agreements = [canary.agreement for canary in canaries if canary.agreement is not None]
    text = (
        f"{format_percent(min(agreements))} same as stored"
        if agreements
        else f"{min(canary.right for canary in canaries)} of {canaries[0].known} known ones right, none stored"
    )
    return row.warn(text, "canary", "the model does not answer correctly")


def _describe_agreement(row: TrustRow) -> str:
    """The client's decode rate compared with the server's own."""
    off = [share for run in row.launches if (share := decode_difference(run.samples)) is not None]
    text = format_change(max(off, key=abs)) if off else ABSENT
    return row.warn(text, "client_server_disagree", "they disagree")


TRUST_COLUMNS: tuple[Column[TrustRow], ...] = (
    Column("server", lambda row: row.case.server),
    Column("workload", lambda row: row.case.workload),
    Column("trusted", lambda row: row.badge),
    Column(
        "valid launches",
        lambda row: f"{sum(run.valid for run in row.launches)} of {len(row.launches)}",
        right=True,
    ),
    Column("client bias", _describe_bias, wide=True),
    Column("answers", _describe_answers, wide=True),
    Column("client vs server", _describe_agreement, wide=True),
)
"""The worst of all launches; a dash where nothing is known."""
