"""Claims and what experiments say of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tokgate.config.hypothesis import Arm, Claim, Hypothesis
from tokgate.judge.blocks import Block
from tokgate.judge.hypothesis import (
    decide,
    decide_reach,
    decide_share,
    explain_contradiction,
    judge_failed_arm,
    judge_treated,
    judge_untreated,
)
from tokgate.judge.verdict import Outcome


def hypothesis(claim: Claim, **changes: Any) -> Hypothesis:
    values: dict[str, Any] = {
        "name": "two-threads",
        "title": "Two threads decode faster than one",
        "source": "a test",
        "a": Arm(server="one"),
        "b": Arm(server="two"),
        "workload": "short",
        "claim": claim,
        "rival": "decode is bound by bandwidth",
    }
    return Hypothesis(**(values | changes))


def blocks(ratio: float, count: int = 3, cv: float = 0.01, drift: float = 0.0) -> list[Block]:
    """Blocks of alternating order with B / A = ratio."""
    rng = np.random.default_rng(7)
    made = []
    for index in range(count):
        arms = (("a", "b"), ("b", "a"))[index % 2]
        logs = [
            math.log(100) + rng.normal(0, cv) + drift * at + math.log(ratio) * (arm == "b")
            for at, arm in enumerate((*arms, *reversed(arms)))
        ]
        made.append(Block(arms=arms, values=tuple(math.exp(log) for log in logs)))
    return made


ABOVE = Claim(metric="decode_tps", above=1.2)
BELOW = Claim(metric="decode_tps", below=1.05)
BETWEEN = Claim(metric="decode_tps", above=0.95, below=1.05)


@pytest.mark.parametrize(
    ("claim", "ratio", "outcome"),
    [
        (ABOVE, 1.6, Outcome.CONFIRMED),
        (ABOVE, 1.0, Outcome.REFUTED),
        (ABOVE, 1.2, Outcome.INCONCLUSIVE),
        (BELOW, 1.0, Outcome.CONFIRMED),
        (BELOW, 1.2, Outcome.REFUTED),
        (BELOW, 1.05, Outcome.INCONCLUSIVE),
        (BETWEEN, 1.0, Outcome.CONFIRMED),
        (BETWEEN, 0.8, Outcome.REFUTED),
        (BETWEEN, 1.2, Outcome.REFUTED),
        (BETWEEN, 0.95, Outcome.INCONCLUSIVE),
    ],
)
def test_the_whole_interval_must_lie_on_one_side(claim: Claim, ratio: float, outcome: Outcome) -> None:
    said = decide(hypothesis(claim), blocks(ratio))
    assert said.outcome is outcome
    assert said.ratio == pytest.approx(ratio, rel=0.03)
    assert (said.server, said.metric, said.launches, said.hypothesis) == (
        "one | two",
        "decode_tps",
        12,
        "two-threads",
    )


def test_the_reason_of_a_hypothesis() -> None:
    """The reason has the ratio, interval, launches, power and the rival."""
    said = decide(hypothesis(ABOVE), blocks(1.0))
    assert said.reason.startswith(f"B / A of decode_tps is {said.ratio:.3f}, 95 % interval {said.ci_low:.3f}–")
    assert "over 3 blocks (12 launches); the claim is above 1.2" in said.reason
    assert "8 of 10 such experiments detect a ratio that is" in said.reason
    assert said.reason.endswith("this supports instead: decode is bound by bandwidth")


def test_inconclusive_says_how_many_blocks_decide() -> None:
    said = decide(hypothesis(ABOVE), blocks(1.17, cv=0.03, count=2))
    assert said.outcome is Outcome.INCONCLUSIVE
    needed = int(said.reason.rsplit("; ", 1)[1].split()[0])
    assert needed > 2
    assert decide(hypothesis(ABOVE), blocks(1.17, cv=0.03, count=2 * needed)).outcome is Outcome.REFUTED


def test_drift_within_blocks_is_no_effect() -> None:
    still, drifting = (
        decide(hypothesis(BETWEEN), blocks(1.0)),
        decide(hypothesis(BETWEEN), blocks(1.0, drift=0.05)),
    )
    assert drifting.outcome is Outcome.CONFIRMED
    assert drifting.ratio == pytest.approx(still.ratio)


def test_a_claim_needs_a_bound() -> None:
    with pytest.raises(ValueError, match="two-threads: the claim sets neither above, below nor fails"):
        decide(hypothesis(Claim(metric="decode_tps")), blocks(1.0))


def test_a_missing_treatment_is_invalid() -> None:
    """A treatment that did not reach the server makes the experiment invalid; the reason says what to do."""
    said = judge_untreated(
        hypothesis(ABOVE), seen="/dev/shm holds 24 GiB in both arms", remedy="set `ipc: private` in both"
    )
    assert said.outcome is Outcome.INVALID
    assert said.reason == (
        "the treatment did not reach the server: /dev/shm holds 24 GiB in both arms; set `ipc: private` in both"
    )
    assert explain_contradiction(hypothesis(ABOVE), said) is None


FAILS = Claim(fails="a", cause="160 MiB required")
CAUSE = "Insufficient space in /dev/shm: 160 MiB required, 64 MiB free"


def test_an_arm_that_does_not_start_is_a_finding() -> None:
    said = judge_failed_arm(hypothesis(ABOVE), "b", root_cause=CAUSE)
    assert said.outcome is Outcome.ARM_FAILED
    assert said.reason == f"arm B does not start: {CAUSE}"
    assert "arm_failed, but the hypothesis claims otherwise" in (explain_contradiction(hypothesis(ABOVE), said) or "")


def test_an_arm_that_fails_as_claimed_confirms() -> None:
    said = judge_failed_arm(hypothesis(FAILS), "a", root_cause=CAUSE)
    assert said.outcome is Outcome.CONFIRMED
    assert explain_contradiction(hypothesis(FAILS), said) is None


@pytest.mark.parametrize(("arm", "cause"), [("b", CAUSE), ("a", "CUDA driver not found")])
def test_the_other_arm_or_another_cause_does_not(arm: Any, cause: str) -> None:
    said = judge_failed_arm(hypothesis(FAILS), arm, root_cause=cause)
    assert said.outcome is Outcome.ARM_FAILED
    assert explain_contradiction(hypothesis(FAILS), said) is not None


def test_an_arm_that_should_fail_but_starts() -> None:
    """An arm that starts although the claim says it fails refutes the claim."""
    said = decide(hypothesis(FAILS), blocks(1.0, count=1))
    assert said.outcome is Outcome.REFUTED
    assert said.reason.startswith("arm A started in every block")


def test_a_named_arm_that_should_fail_but_starts() -> None:
    arms = {"fast": Arm(server="one"), "slow": Arm(server="one", override={"env": {"X": "1"}})}
    claimed = hypothesis(Claim(fails="slow"), a=None, b=None, arms=arms)
    block = Block(arms=("fast", "slow"), values=(100.0, 100.0, 100.0, 100.0))
    verdict = decide(claimed, [block])
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.reason.startswith("arm slow started in every block")


def test_a_claim_about_arm_a_is_the_ratio_a_over_b() -> None:
    verdict = decide(hypothesis(Claim(metric="decode_tps", arm="a", above=1.5)), blocks(0.5))
    assert verdict.outcome is Outcome.CONFIRMED
    assert verdict.reason.startswith("A / B of decode_tps is 1.99")
    assert verdict.current is not None
    assert verdict.current > 1.9 * (verdict.baseline or 0)


@pytest.mark.parametrize(
    ("status", "ratio", "fails"),
    [
        ("open", 1.6, False),
        ("open", 1.0, True),
        ("open", 1.2, False),
        ("confirmed", 1.6, False),
        ("confirmed", 1.0, True),
        ("confirmed", 1.2, False),
        ("refuted", 1.6, True),
        ("refuted", 1.0, False),
        ("refuted", 1.2, False),
    ],
)
def test_a_contradiction_fails_the_test(status: Any, ratio: float, fails: bool) -> None:
    """The test fails when the outcome contradicts the recorded status."""
    claim = hypothesis(ABOVE, status=status)
    said = decide(claim, blocks(ratio))
    message = explain_contradiction(claim, said)
    assert (message is not None) is fails
    if message:
        assert said.reason in message
        assert message.endswith("tokgate hypothesis settle two-threads --run RUN")


def test_an_open_one_asks_to_be_settled() -> None:
    assert decide(hypothesis(ABOVE), blocks(1.6)).notes == ("open: tokgate hypothesis settle two-threads --run RUN",)
    assert decide(hypothesis(ABOVE, status="confirmed"), blocks(1.6)).notes == ()


UNTREATED = Claim(untreated=True)
SHARE = Claim(metric="decode_tps", of="measured", below=0.7)
REACH = Claim(metric="decode_tps", reach=100)


def test_an_untreated_claim_is_confirmed() -> None:
    """A treatment that is claimed not to reach the server, and does not, confirms the claim."""
    said = judge_untreated(hypothesis(UNTREATED), seen="both see 24 GiB", remedy="set `ipc: private` in both")
    assert said.outcome is Outcome.CONFIRMED
    assert said.reason == "the treatment did not reach the server: both see 24 GiB, as claimed"
    assert explain_contradiction(hypothesis(UNTREATED), said) is None
    assert said.notes == ("open: tokgate hypothesis settle two-threads --run RUN",)


def test_an_untreated_claim_is_refuted() -> None:
    said = judge_treated(hypothesis(UNTREATED), seen="shm_bytes (A 64, B 16)")
    assert said.outcome is Outcome.REFUTED
    assert said.reason.startswith("the treatment reached the server: shm_bytes (A 64, B 16); this supports")
    assert "refuted, but the hypothesis claims otherwise" in (explain_contradiction(hypothesis(UNTREATED), said) or "")


@pytest.mark.parametrize(
    ("share", "outcome"),
    [(0.84, Outcome.REFUTED), (0.5, Outcome.CONFIRMED), (0.7, Outcome.INCONCLUSIVE)],
)
def test_the_share_of_one_arm(share: float, outcome: Outcome) -> None:
    """One arm is judged by its share of what the chip allows."""
    rng = np.random.default_rng(3)
    shares = [share * math.exp(rng.normal(0, 0.01)) for _ in range(4)]
    said = decide_share(hypothesis(SHARE, b=None), shares)
    assert said.outcome is outcome
    assert said.ratio == pytest.approx(share, rel=0.02)
    assert (said.server, said.launches) == ("one", 4)
    assert f"decode_tps is {100 * (said.ratio or 0):.1f} % of what the chip allows as measured" in said.reason
    assert "over 4 launches; the claim is below 70 %" in said.reason


def test_one_launch_of_one_arm_decides_nothing() -> None:
    assert decide_share(hypothesis(SHARE, b=None), [0.5]).outcome is Outcome.INCONCLUSIVE


def test_reach_is_arithmetic() -> None:
    far = decide_reach(hypothesis(REACH, b=None), possible=9.15)
    assert far.outcome is Outcome.REFUTED
    assert far.reason.startswith("out of reach: the claim is 100.0 tok/s, and the chip allows 9.150 tok/s on paper;")
    assert far.launches == 0
    assert decide_reach(hypothesis(REACH, b=None), possible=101).outcome is Outcome.CONFIRMED
