"""Claims with three and more arms, on simulated launches."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from tokgate.config.hypothesis import Arm, Claim, Hypothesis
from tokgate.judge.blocks import Block, draw_orders
from tokgate.judge.hypothesis import decide, format_arm, judge_failed_arm
from tokgate.judge.stats import contrast
from tokgate.judge.verdict import Outcome

ABOVE = Claim(metric="decode_tps", arm="large", above=1.0)


def hypothesis(claim: Claim = ABOVE) -> Hypothesis:
    arms = {name: Arm(server=f"vllm-{name}") for name in ("small", "medium", "large")}
    return Hypothesis(name="sizes", title="t", source="s", arms=arms, workload="w", claim=claim, rival="memory decides")


def launch(
    speeds: Mapping[str, float], *, blocks: int = 4, cv: float = 0.01, drift: float = 0.0, seed: int = 1
) -> list[Block]:
    """Blocks of these arms on a machine whose speed changes by `drift` (log) with every launch."""
    draw, count = np.random.default_rng(seed), 0
    launched = []
    for arms in draw_orders(tuple(speeds), blocks, seed=f"order {seed}"):
        values = []
        for arm in (*arms, *reversed(arms)):
            values.append(100 * speeds[arm] * math.exp(draw.normal(0, cv) + drift * count))
            count += 1
        launched.append(Block(arms=arms, values=tuple(values)))
    return launched


@pytest.mark.parametrize(
    ("small", "medium", "outcome", "weakest"),
    [
        (0.7, 0.8, Outcome.CONFIRMED, "medium"),
        (0.8, 0.7, Outcome.CONFIRMED, "small"),
        (0.7, 1.2, Outcome.REFUTED, "medium"),
        (1.2, 1.3, Outcome.REFUTED, "medium"),
        (0.7, 1.0, Outcome.INCONCLUSIVE, "medium"),
    ],
)
def test_all_other_arms_count(small: float, medium: float, outcome: Outcome, weakest: str) -> None:
    """Confirmed only against every other arm, refuted by any; the verdict shows the ratio that decides."""
    speeds = {"small": small, "medium": medium, "large": 1.0}
    verdict = decide(hypothesis(), launch(speeds, drift=0.01))
    assert verdict.outcome is outcome
    assert verdict.ratio == pytest.approx(1 / speeds[weakest], rel=0.02)
    assert verdict.reason.startswith(f"large / {weakest} of decode_tps is {verdict.ratio:.3f}, ")
    assert f"the ratio to {'small' if weakest == 'medium' else 'medium'} " in verdict.reason
    assert verdict.server == "vllm-small | vllm-medium | vllm-large"
    assert verdict.launches == 24
    assert (verdict.current, verdict.baseline) != (None, None)


@pytest.mark.parametrize(("small", "confirmed"), [(1.0, 0.025), (0.7, 0.025)])
def test_wrong_verdicts_are_rare(small: float, confirmed: float) -> None:
    """No arm, or only one, is slower than the claimed one: 1,500 experiments, each tail 2.5 %, drift 0.3 %."""
    runs, outcomes = 1500, Counter[Outcome]()
    for seed in range(runs):
        blocks = launch({"small": small, "medium": 1.0, "large": 1.0}, cv=0.02, drift=-0.003, seed=seed)
        outcomes[decide(hypothesis(), blocks).outcome] += 1
    most = confirmed * runs + 3 * math.sqrt(runs * confirmed * (1 - confirmed))
    assert outcomes[Outcome.CONFIRMED] <= most
    assert outcomes[Outcome.REFUTED] <= most, "m tests share the error of a refutation"


def test_a_true_claim_is_found() -> None:
    """8 % faster than both others, CV 2 %, 4 blocks: confirmed in nearly all of 300 experiments."""
    speeds = {"small": 1.0, "medium": 1.0, "large": 1.08}
    verdicts = [decide(hypothesis(), launch(speeds, cv=0.02, seed=seed)).outcome for seed in range(300)]
    assert verdicts.count(Outcome.CONFIRMED) >= 285
    assert Outcome.REFUTED not in verdicts


def test_two_arms_are_the_special_case() -> None:
    """`arms` of two gives the verdict of `a` and `b`."""
    blocks = launch({"a": 1.0, "b": 1.3})
    claim = Claim(metric="decode_tps", above=1.2)
    declared: dict[str, Any] = {"title": "t", "source": "s", "workload": "w", "rival": "r"}
    a, b = Arm(server="a"), Arm(server="b")
    old = decide(Hypothesis(a=a, b=b, claim=claim, **declared), blocks)
    named = Claim(metric="decode_tps", arm="b", above=1.2)
    new = decide(Hypothesis(arms={"a": a, "b": b}, claim=named, **declared), blocks)
    assert (old.outcome, old.ratio, old.ci_low) == (new.outcome, new.ratio, new.ci_low)


def test_all_arms_tell_of_the_scatter() -> None:
    """A third arm adds degrees of freedom: k (n - 1) + k - 1."""
    ratio = contrast(launch({"a": 1.0, "b": 1.1, "c": 1.2}, blocks=3), {"a": -1, "b": 1})
    assert ratio.df == 8
    assert ratio.ratio == pytest.approx(1.1, rel=0.02)


def test_a_named_arm_fails() -> None:
    claim = Claim(fails="medium", cause="out of memory")
    verdict = judge_failed_arm(hypothesis(claim), "medium", root_cause="CUDA out of memory")
    assert verdict.outcome is Outcome.CONFIRMED
    assert verdict.reason == "arm medium does not start: CUDA out of memory, as claimed"
    assert format_arm("c") == "arm C"


def test_orders_are_seeded_and_mixed() -> None:
    """The same seed gives the same orders; every arm is first now and then."""
    orders = draw_orders("abc", 60, seed="one")
    assert orders == draw_orders("abc", 60, seed="one")
    assert orders != draw_orders("abc", 60, seed="two")
    assert {order[0] for order in orders} == set("abc")


def test_orders_of_two_arms_are_as_before() -> None:
    """The orders of hypotheses with two arms, as drawn since the first edition."""
    orders = ["".join(order) for order in draw_orders("ab", 6, seed="shm-size")]
    assert orders == ["ba", "ba", "ba", "ab", "ba", "ba"]
