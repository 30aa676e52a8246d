"""Hypothesis: a claim about two arms, or about one beside its roofline, that an experiment can confirm or refute."""

from __future__ import annotations

from datetime import date
from typing import Literal

from tokgate.config.base import Spec
from tokgate.config.metric import Metric


class Arm(Spec, frozen=True, kw_only=True):
    """A server, by name, with what is changed in it for this experiment (merged over its YAML)."""

    server: str
    override: dict[str, object] = {}


class Claim(Spec, frozen=True, kw_only=True):
    """What is claimed of `metric`: the ratio B / A lies above and/or below these bounds.

    of: with arm A alone, the bounds are those of the share it reaches of what the chip allows: on paper, or
    as measured on such chips.
    reach: instead, with arm A alone, that the chip on paper allows this figure at all; nothing is launched.
    fails: instead, that this arm does not start, for a cause containing `cause`.
    untreated: instead, that what differs between the specs of the arms does not reach the servers.
    """

    metric: Metric | None = None
    above: float | None = None
    below: float | None = None
    of: Literal["paper", "measured"] | None = None
    reach: float | None = None
    fails: Literal["a", "b"] | None = None
    cause: str | None = None
    untreated: bool = False

    @property
    def alone(self) -> bool:
        """Whether it is about arm A alone."""
        return self.of is not None or self.reach is not None


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

    claim is B over A, or about A alone, and then there is no b; rival: what a refutation supports instead.
    """

    name: str = ""
    title: str
    source: str
    a: Arm
    b: Arm | None = None
    workload: str
    claim: Claim
    rival: str
    status: Literal["open", "confirmed", "refuted"] = "open"
    evidence: tuple[Evidence, ...] = ()
