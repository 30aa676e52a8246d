"""Preview: what a run will do, as people and programs read it before the run."""

from __future__ import annotations

from typing import Literal

import msgspec

from tokgate.judge.plan import LaunchPlan, Source
from tokgate.judge.verdict import Later

How = Literal["blocks", "pairs", "gate", "look", "arithmetic"]
"""How a hypothesis is tested: in mirrored blocks of launches, in pairs of launches next to each other, by the launches of
the gate, by a look inside each arm, or by arithmetic alone."""


class HypothesisPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What is planned of one hypothesis.

    blocks: of mirrored launches, or half of the pairs that mostly decide; more of them if a budget leaves time.
    seconds: of its own launches.
    source: what they are based on.
    known: the outcome and the run that it is known from; empty where it is tested.
    note: why it is tested again; empty where no earlier run tested it.
    """

    hypothesis: str
    how: How = "blocks"
    blocks: int = 0
    seconds: float = 0.0
    source: Source = "measured"
    known: str = ""
    note: str = ""


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What will run.

    started: when it was planned (UTC, ISO 8601).
    title: the profile, why it was chosen, and the time or the launches that it gets.
    unable: why this machine cannot run it; None when it can.
    budget_s: None without a budget.
    plan: of the launches; None when only hypotheses are tested.
    rounds: servers that are launched in turns, in mirrored order, so that their launches serve hypotheses, too.
    requests: timed on each launch, by workload.
    hypotheses: in the order of the run.
    later: what the budget has no time for, the most urgent first.
    total_s: of launches and hypotheses as planned.
    alone_s: of everything once, with the launches of the profile and own launches for each hypothesis.
    shared_s: of everything once, when the launches of the gate serve the hypotheses that they can.
    nights: runs of this budget until everything has been answered once; None without a budget, or if that never happens.
    notes: one sentence each.
    """

    started: str
    title: str
    unable: str | None
    budget_s: float | None
    plan: LaunchPlan | None
    rounds: tuple[tuple[str, ...], ...]
    requests: dict[str, int]
    hypotheses: tuple[HypothesisPlan, ...]
    later: tuple[Later, ...]
    total_s: float
    alone_s: float
    shared_s: float
    nights: int | None
    notes: tuple[str, ...]
