"""Preview: what a run will do, as people and programs read it before the run."""

from __future__ import annotations

import msgspec

from tokgate.judge.plan import LaunchPlan, Source


class BlocksPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The blocks of one hypothesis; more of them if a budget leaves time.

    blocks: 0 where it is decided without measuring.
    seconds: of everything; 0 for a claim that is decided by arithmetic, or known.
    known: the outcome and the run that it is known from; empty where it is tested.
    note: why it is tested again; empty where no earlier run tested it.
    source: what they are based on.
    """

    hypothesis: str
    blocks: int
    seconds: float
    source: Source
    known: str = ""
    note: str = ""


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What will run.

    title: the profile, why it was chosen, and the time or the launches that it gets.
    unable: why this machine cannot run it; None when it can.
    budget_s: None without a budget.
    plan: of the launches; None when only hypotheses are tested.
    requests: timed on each launch, by workload.
    hypotheses: in the order of the run.
    total_s: of launches and hypotheses as planned.
    notes: one sentence each.
    """

    title: str
    unable: str | None
    budget_s: float | None
    plan: LaunchPlan | None
    requests: dict[str, int]
    hypotheses: tuple[BlocksPlan, ...]
    total_s: float
    notes: tuple[str, ...]
