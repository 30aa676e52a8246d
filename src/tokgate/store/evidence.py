"""Evidence: what earlier runs decided about cells and hypotheses, and whether the facts that a hypothesis depends on
still hold.

The records of runs are the evidence: a verdict, the facts of its arms as they were before the test, and the facts of
the machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import msgspec

from tokgate.config.words import format_age, format_difference
from tokgate.judge.cell import CellKey
from tokgate.judge.verdict import Known, Outcome, Verdict
from tokgate.machine.fingerprint import Fingerprint, Weight, find_differences
from tokgate.store.identity import Identity, is_wanted
from tokgate.store.index import decode_row, open_index
from tokgate.store.runs import RunRecord, compute_age_s
from tokgate.store.summary import VerdictSummary

SETTLED = frozenset({Outcome.CONFIRMED, Outcome.REFUTED, Outcome.ARM_FAILED})
"""Outcomes that testing again would not change, unless a fact has changed."""


class PastVerdict(msgspec.Struct, frozen=True):
    """A verdict of an earlier run, with the facts of the machine then."""

    summary: VerdictSummary
    fingerprint: Fingerprint


class LastVerdicts(msgspec.Struct, frozen=True):
    """The newest verdict on each cell and each hypothesis, by name, of those that a run measured."""

    cells: dict[CellKey, PastVerdict] = {}
    hypotheses: dict[str, PastVerdict] = {}


def read_last_verdicts(out: Path, *, fingerprint: str, identities: Mapping[str, Identity] = {}) -> LastVerdicts:
    """Of the machine with this fingerprint id.

    identities: by server, which one counts; any for a server that is not in it. Raises RecordError: no folder `out`.
    """
    last = LastVerdicts(cells={}, hypotheses={})
    facts: dict[int, Fingerprint] = {}
    query = (
        "SELECT summary, fingerprint.id, facts FROM verdict JOIN fingerprint ON fingerprint.id = verdict.fingerprint "
        "WHERE box = ? ORDER BY started, record"
    )
    with open_index(out) as index, closing(index.execute(query, (fingerprint,))) as rows:
        for encoded, key, raw in rows:
            if key not in facts:
                facts[key] = decode_row(raw, Fingerprint)
            past = PastVerdict(decode_row(encoded, VerdictSummary), facts[key])
            verdict = past.summary.verdict
            if verdict.hypothesis is not None:
                last.hypotheses[verdict.hypothesis] = past
            elif is_wanted(verdict.server, past.summary.identity, identities):
                last.cells[CellKey(verdict.server, verdict.workload, verdict.metric)] = past
    return last


def explain_expiry(
    past: PastVerdict, facts: Mapping[str, str | None], record: RunRecord, *, shelf_life_s: float
) -> str | None:
    """Why a hypothesis must be tested again; None when its last verdict still holds.

    facts: what its verdict depends on, as it can be read now.
    record: the present run.
    """
    then = past.summary.depends_on
    if past.summary.verdict.outcome not in SETTLED:
        return f"it was {past.summary.verdict.outcome} in run {past.summary.run_id}"
    if not then:
        return f"run {past.summary.run_id} did not record what its verdict depends on"
    if unreadable := [key for key in {**facts, **then} if facts.get(key, "") is None or then.get(key, "") is None]:
        return f"whether it has changed since run {past.summary.run_id} cannot be read: {', '.join(unreadable)}"
    if changes := [*_list_changes(then, facts), *_list_machine_changes(past.fingerprint, record.fingerprint)]:
        return f"changed since run {past.summary.run_id}: {'; '.join(changes)}"
    age_s = compute_age_s(past.summary.started, record.started)
    if age_s > shelf_life_s:
        return f"run {past.summary.run_id} is {format_age(age_s)} old, and the profile's shelf life {format_age(shelf_life_s)}"
    return None


def make_known(past: PastVerdict, record: RunRecord) -> Verdict:
    """The verdict of an earlier run as one of this run, which says where it is from."""
    known = Known(run=past.summary.run_id, started=past.summary.started)
    verdict = past.summary.verdict
    notes = (f"known {format_origin(known, record.started)}", *verdict.notes)
    return msgspec.structs.replace(verdict, known=known, notes=notes)


def format_origin(known: Known, now: str) -> str:
    """`from run 20260301T010000Z-abcdef, 3 days old`. now: when the present run started (ISO 8601)."""
    return f"from run {known.run}, {format_age(compute_age_s(known.started, now))} old"


def _list_changes(then: Mapping[str, str | None], now: Mapping[str, str | None]) -> list[str]:
    return [
        f"{key}: {format_difference(str(then.get(key, 'absent')), str(now.get(key, 'absent')))}"
        for key in {**then, **now}
        if then.get(key) != now.get(key)
    ]


def _list_machine_changes(then: Fingerprint, now: Fingerprint) -> list[str]:
    return [str(change) for change in find_differences(then, now) if change.weight is not Weight.INFORMATION]
