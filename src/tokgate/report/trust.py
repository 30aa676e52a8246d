"""Trust: why the figures of a cell may be believed, or may not."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tokgate.config.words import ABSENT, format_change, format_percent
from tokgate.measure.bias import compute_bias_shares
from tokgate.measure.measurement import Measurement
from tokgate.measure.reconcile import decode_difference
from tokgate.report.badge import Badge


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """One cell, of its launches the worst; a dash where nothing is known.

    launches: `3 of 3`, the valid ones. bias: what the client adds, by gated metric, and whether that is
    within the tolerance the run went by. answers: of the model, against stored ones, or by themselves.
    agrees: the client's decode rate beside the server's own.
    """

    server: str
    workload: str
    badge: Badge
    launches: str
    bias: str
    answers: str
    agrees: str


def trusted(measurements: Sequence[Measurement]) -> tuple[Trust, ...]:
    """Every cell in the order of the run."""
    cells: dict[tuple[str, str], list[Measurement]] = {}
    for one in measurements:
        cells.setdefault((one.server, one.workload), []).append(one)
    return tuple(_trust(*key, launches) for key, launches in cells.items())


def _trust(server: str, workload: str, launches: Sequence[Measurement]) -> Trust:
    valid = sum(one.valid for one in launches)
    rules = {problem.rule for one in launches for problem in one.problems}
    return Trust(
        server=server,
        workload=workload,
        badge=Badge("✓", "yes", "good") if valid == len(launches) else Badge("!", "no", "unsure"),
        launches=f"{valid} of {len(launches)}",
        bias=_bias(launches, "client_bias" in rules),
        answers=_answers(launches, "canary" in rules),
        agrees=_agrees(launches, "client_server_disagree" in rules),
    )


def _bias(launches: Sequence[Measurement], wrong: bool) -> str:
    worst: dict[str, float] = {}
    for one in launches:
        if one.bias is None:
            continue
        for metric, share in compute_bias_shares(one.bias, one.metrics).items():
            if metric in one.gated:
                worst[metric] = max(worst.get(metric, 0.0), share, key=abs)
    told = ", ".join(f"{metric} {format_change(share)}" for metric, share in worst.items()) or ABSENT
    return f"! {told}: beyond the tolerance" if wrong else told


def _answers(launches: Sequence[Measurement], wrong: bool) -> str:
    seen = [one.canary for one in launches if one.canary is not None]
    if not seen:
        return ABSENT
    again = [one.agreement for one in seen if one.agreement is not None]
    told = (
        f"{format_percent(min(again))} of the stored ones came again"
        if again
        else f"{min(one.right for one in seen)} of {seen[0].known} known ones right, none stored"
    )
    return f"! {told}: not those of a sound model" if wrong else told


def _agrees(launches: Sequence[Measurement], wrong: bool) -> str:
    off = [found for one in launches if (found := decode_difference(one.samples)) is not None]
    told = format_change(max(off, key=abs)) if off else ABSENT
    return f"! {told}: they disagree" if wrong else told
