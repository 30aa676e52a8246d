"""Which outcomes fail a test, and which of them are findings."""

from __future__ import annotations

import pytest

from tokgate.config.hypothesis import Arm, Claim, Hypothesis
from tokgate.judge.policy import explain_failure, is_finding
from tokgate.judge.verdict import Outcome, Verdict

CLAIM = Hypothesis(
    name="faster",
    title="t",
    source="s",
    a=Arm(server="a"),
    b=Arm(server="b"),
    workload="w",
    claim=Claim(metric="decode_tps", above=1.0),
    rival="r",
    status="confirmed",
)


def verdict(outcome: Outcome, *, hypothesis: str | None = None) -> Verdict:
    kind = "gate" if hypothesis is None else "hypothesis"
    return Verdict(
        kind=kind,  # type: ignore[arg-type]
        server="s",
        workload="w",
        metric="decode_tps",
        outcome=outcome,
        reason="why",
        hypothesis=hypothesis,
    )


@pytest.mark.parametrize(
    ("outcome", "fails", "finding", "strict"),
    [
        (Outcome.REGRESSED, True, True, True),
        (Outcome.INVALID, True, False, False),
        (Outcome.INCONCLUSIVE, False, False, True),
        (Outcome.PASS, False, False, False),
        (Outcome.IMPROVED, False, False, False),
        (Outcome.NO_BASELINE, False, False, False),
    ],
)
def test_outcomes(outcome: Outcome, fails: bool, finding: bool, strict: bool) -> None:
    """fails: the test; finding: exit code 1 rather than 6; strict: a finding under --tokgate-strict."""
    assert (explain_failure(verdict(outcome)) is not None) is fails
    assert is_finding(verdict(outcome)) is finding
    assert is_finding(verdict(outcome), strict=True) is strict
    if strict:
        assert explain_failure(verdict(outcome), strict=True) == f"{outcome}: why"


@pytest.mark.parametrize(
    ("outcome", "fails", "finding"),
    [
        (Outcome.CONFIRMED, False, False),
        (Outcome.REFUTED, True, True),
        (Outcome.ARM_FAILED, True, True),
        (Outcome.INVALID, True, False),
        (Outcome.INCONCLUSIVE, False, False),
    ],
)
def test_outcomes_of_a_confirmed_claim(outcome: Outcome, fails: bool, finding: bool) -> None:
    tested = verdict(outcome, hypothesis="faster")
    message = explain_failure(tested, [CLAIM], run="r1")
    assert (message is not None) is fails
    assert is_finding(tested, [CLAIM]) is finding
    if finding:
        assert (message or "").endswith("tokgate hypothesis settle faster --run r1")


def test_another_claim_is_not_contradicted() -> None:
    assert not is_finding(verdict(Outcome.REFUTED, hypothesis="other"), [CLAIM])
