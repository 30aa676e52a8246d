"""Hypothesis: a claim about two or more arms, or about one and its roofline, that an experiment can confirm or refute."""

from __future__ import annotations

from datetime import date
from typing import Literal

from tokgate.config.base import Spec
from tokgate.config.metric import MetricName

MOST_ARMS = 6
"""A block launches each arm twice; with more arms a single block would take most of a night."""


class Arm(Spec, frozen=True, kw_only=True):
    """A server under one condition.

    server: name in fixtures/servers.
    override: keys of the server's YAML that this arm changes.
    """

    server: str
    override: dict[str, object] = {}


class Claim(Spec, frozen=True, kw_only=True):
    """What is claimed: exactly one of bounds (above, below), reach, fails or untreated.

    metric: metric that the bounds or `reach` are about.
    arm: the arm that the bounds are about (default: b). They must hold for its ratio to each of the other arms.
    above: the whole interval of the ratio (B / A) lies above this.
    below: the whole interval of the ratio (B / A) lies below this.
    of: with arm A alone, the bounds are for its share of what the chip allows, on paper or as measured on such chips.
    reach: with arm A alone, the chip on paper allows this value of the metric at all; nothing is launched.
    fails: this arm does not start.
    cause: text that the log line explaining the failure contains.
    untreated: what differs between the specs of the arms does not reach the servers.
    """

    metric: MetricName | None = None
    arm: str | None = None
    above: float | None = None
    below: float | None = None
    of: Literal["paper", "measured"] | None = None
    reach: float | None = None
    fails: str | None = None
    cause: str | None = None
    untreated: bool = False

    @property
    def alone(self) -> bool:
        """Whether it is about arm A alone."""
        return self.of is not None or self.reach is not None


class Evidence(Spec, frozen=True, kw_only=True):
    """One settled experiment, written by `tokgate hypothesis settle`.

    date: day of the run.
    run: id of the run.
    outcome: what the experiment found.
    ratio: the measured ratio (or share) that the claim is about.
    ci_low: lower end of its confidence interval.
    ci_high: upper end of its confidence interval.
    blocks: number of blocks measured.
    """

    date: date
    run: str
    outcome: str
    ratio: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    blocks: int | None = None


class Hypothesis(Spec, frozen=True, kw_only=True):
    """A claim, where it was made, how it is tested, and what is known so far.

    name: set by the loader, from the file's name.
    title: the claim in one sentence.
    source: who claims it, and where.
    a: the first arm.
    b: the second arm; absent where the claim is about arm A alone.
    arms: instead of a and b, two to six arms by name.
    workload: name in fixtures/workloads that all arms run.
    claim: what is claimed of B over A, of one arm over each of the others, or of A alone.
    rival: what a refutation supports instead.
    status: what is known so far.
    evidence: the experiments that settled it.
    """

    name: str = ""
    title: str
    source: str
    a: Arm | None = None
    b: Arm | None = None
    arms: dict[str, Arm] = {}
    workload: str
    claim: Claim
    rival: str
    status: Literal["open", "confirmed", "refuted"] = "open"
    evidence: tuple[Evidence, ...] = ()

    @property
    def named_arms(self) -> dict[str, Arm]:
        """The arms by name, in the order of the file."""
        return self.arms or {name: arm for name, arm in (("a", self.a), ("b", self.b)) if arm is not None}
