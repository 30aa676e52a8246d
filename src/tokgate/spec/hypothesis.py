"""Hypothesis: a claim about two arms that an experiment can confirm or refute."""

from __future__ import annotations

from datetime import date
from typing import Literal

from tokgate.spec.base import Spec
from tokgate.spec.metric import Metric


class Arm(Spec, frozen=True, kw_only=True):
    """A server, by name, with what is changed in it for this experiment (merged over its YAML)."""

    server: str
    override: dict[str, object] = {}


class Claim(Spec, frozen=True, kw_only=True):
    """What is claimed of `metric`: the ratio B / A lies above and/or below these bounds.

    fails: instead of a ratio, the claim that this arm does not start, for a cause containing `cause`.
    """

    metric: Metric | None = None
    above: float | None = None
    below: float | None = None
    fails: Literal["a", "b"] | None = None
    cause: str | None = None


class Evidence(Spec, frozen=True, kw_only=True):
    """One settled experiment: when, by which run, and what it said."""

    date: date
    run: str
    outcome: str
    ratio: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    blocks: int | None = None


class Hypothesis(Spec, frozen=True, kw_only=True):
    """A claim, where it was made, how it is tested, and what is known so far.

    claim is B over A; rival: what a refutation supports instead, in words.
    """

    name: str = ""
    title: str
    source: str
    a: Arm
    b: Arm
    workload: str
    claim: Claim
    rival: str
    status: Literal["open", "confirmed", "refuted"] = "open"
    evidence: tuple[Evidence, ...] = ()
