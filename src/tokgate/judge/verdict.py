"""Verdict: the judgment of one cell, one hypothesis or one server's answers, with the values that it is based on."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

from tokgate.judge.blocks import Design


class Outcome(StrEnum):
    """Every possible result."""

    PASS = "pass"
    REGRESSED = "regressed"
    IMPROVED = "improved"
    INCONCLUSIVE = "inconclusive"
    INVALID = "invalid"
    NO_BASELINE = "no_baseline"
    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    ARM_FAILED = "arm_failed"


class Known(msgspec.Struct, frozen=True):
    """The earlier run that a verdict is known from: its id, and when it started (UTC, ISO 8601)."""

    run: str
    started: str


class Later(msgspec.Struct, frozen=True, kw_only=True):
    """What a budget had no time for, a server, one of its workloads or a hypothesis, with its last answer.

    name: of the server or the hypothesis; `SERVER × WORKLOAD` for one workload.
    outcomes: the last ones, by `WORKLOAD METRIC` or by the name of the hypothesis; empty if it was never answered.
    known: the run that the oldest of them is from.
    """

    name: str
    outcomes: dict[str, Outcome] = {}
    known: Known | None = None


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The judgment of one server x workload x metric, of one hypothesis, or of the answers of one server.

    ratio: current / baseline, or arm B / arm A; above 1 is more of the metric, not better.
    ci_low, ci_high: its interval at the level that `reason` states.
    min_detectable_drop: the smallest drop (fraction) that this run would have detected at 80 % power.
    reproduced: the ratio of the repeat launch that must confirm a regression.
    share: the part of the run's error rate that this cell got.
    launches_to_decide: of an inconclusive verdict, launches in all that would decide; None where that is unknown.
    reason: one sentence with the values.
    notes: what else a reader should know.
    design: how the arms were compared: duet (alive together) or blocks (mirrored launches); None for a stored
        baseline.
    known: the run that measured it, when it was not measured again because nothing that it depends on has changed.
    """

    kind: Literal["gate", "hypothesis", "changepoint", "answers"]
    server: str
    workload: str
    metric: str
    outcome: Outcome
    ratio: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    min_detectable_drop: float | None = None
    reproduced: float | None = None
    share: float | None = None
    current: float | None = None
    baseline: float | None = None
    launches: int = 0
    launches_to_decide: int | None = None
    reason: str = ""
    notes: tuple[str, ...] = ()
    hypothesis: str | None = None
    design: Design | None = None
    known: Known | None = None
