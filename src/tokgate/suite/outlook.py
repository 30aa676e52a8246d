"""Outlook: what a run knows before it starts, from earlier runs and from stored baselines."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from tokgate.store.runs import RunRecord
from tokgate.suite.known import Standing, find_standing
from tokgate.suite.past import Past
from tokgate.suite.plan import Experiment, RunPlan
from tokgate.suite.reference import References


class Outlook(msgspec.Struct, frozen=True, kw_only=True):
    """What is known before a run.

    record: the first record of the run.
    past: earlier runs on this machine.
    references: what each cell is compared with.
    standing: of each selected hypothesis.
    """

    record: RunRecord
    past: Past
    references: References
    standing: dict[str, Standing]


def make_outlook(
    plan: RunPlan, record: RunRecord, experiments: Iterable[Experiment], *, out: Path, baselines: Path, again: bool
) -> Outlook:
    """The outlook of the run of `record`.

    experiments: the selected ones.
    out: the folder of run records. baselines: the folder of all baselines.
    again: test hypotheses whose verdict is known, too.
    Raises RecordError, UsageError: a baseline of the plan is wrong.
    """
    past = Past(out, record)
    references = References(baselines / record.baselines, record, past)
    if plan.opponent is None:
        references.check(plan.servers)
    shelf_life_s = float(plan.profile.shelf_life)
    return Outlook(
        record=record,
        past=past,
        references=references,
        standing=find_standing(experiments, record, past.last.hypotheses, shelf_life_s=shelf_life_s, again=again),
    )
