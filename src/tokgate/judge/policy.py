"""Policy: which outcomes make a test fail. The tests, the exit code and the report all ask here."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from tokgate.config.hypothesis import Hypothesis
from tokgate.judge.hypothesis import explain_contradiction
from tokgate.judge.verdict import Outcome, Verdict


class Consequence(StrEnum):
    """What an outcome means for the run."""

    FINDING = "finding"  # fails: something got worse, or a recorded claim is contradicted
    BROKEN = "broken"  # fails, but says nothing about speed
    UNDECIDED = "undecided"  # passes, and fails under --tokgate-strict
    FINE = "fine"


_CONSEQUENCES = {
    Outcome.REGRESSED: Consequence.FINDING,
    Outcome.INVALID: Consequence.BROKEN,
    Outcome.INCONCLUSIVE: Consequence.UNDECIDED,
}
"""All other outcomes are fine; of a hypothesis, unless they contradict its status."""


def classify(verdict: Verdict, hypotheses: Iterable[Hypothesis] = ()) -> Consequence:
    """hypotheses: those of the run; the one that the verdict is about may be contradicted."""
    if _contradiction(verdict, hypotheses) is not None:
        return Consequence.FINDING
    return _CONSEQUENCES.get(verdict.outcome, Consequence.FINE)


def is_finding(verdict: Verdict, hypotheses: Iterable[Hypothesis] = (), *, strict: bool = False) -> bool:
    """Whether the run fails for this verdict, and not only because something is broken (exit code 1, not 6)."""
    findings = {Consequence.FINDING, *([Consequence.UNDECIDED] if strict else [])}
    return classify(verdict, hypotheses) in findings


def explain_failure(
    verdict: Verdict, hypotheses: Iterable[Hypothesis] = (), *, strict: bool = False, run: str = "RUN"
) -> str | None:
    """Why the test of this verdict fails; None when it passes.

    strict: fail what is undecided, too. run: the run's id, for the commands in the message.
    """
    if (contradiction := _contradiction(verdict, hypotheses, run)) is not None:
        return contradiction
    if is_finding(verdict, strict=strict) or classify(verdict) is Consequence.BROKEN:
        return f"{verdict.outcome}: {verdict.reason}"
    return None


def _contradiction(verdict: Verdict, hypotheses: Iterable[Hypothesis], run: str = "RUN") -> str | None:
    tested = (hypothesis for hypothesis in hypotheses if hypothesis.name == verdict.hypothesis)
    return next((explain_contradiction(hypothesis, verdict, run=run) for hypothesis in tested), None)
