"""Verdict: what is said of one cell or one hypothesis, with the figures it stands on."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec


class Outcome(StrEnum):
    """Every way a judgement can end."""

    PASS = "pass"
    REGRESSED = "regressed"
    IMPROVED = "improved"
    INCONCLUSIVE = "inconclusive"
    INVALID = "invalid"
    NO_BASELINE = "no_baseline"
    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    ARM_FAILED = "arm_failed"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The judgement of one server x workload x metric, or of one hypothesis.

    ratio: current / baseline, or arm B / arm A; above 1 is more of the metric, not better.
    ci_low, ci_high: its interval at the level that `reason` states.
    min_detectable_drop: the smallest worsening (fraction) this run would have seen at 80 % power.
    reproduced: the ratio of the one fresh launch that a regression must be reproduced by.
    share: the part of the run's error rate that this cell was given.
    launches_to_decide: of an inconclusive verdict, launches in all that would decide; None where that is unknown.
    reason: one sentence with the figures; notes: what a reader should also know.
    """

    kind: Literal["gate", "hypothesis", "changepoint"]
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
