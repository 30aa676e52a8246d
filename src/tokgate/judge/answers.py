"""Answers: whether what a model says on a launch makes sense, as a verdict. Its speed counts only then."""

from __future__ import annotations

from collections.abc import Sequence

from tokgate.config.words import format_count
from tokgate.judge.verdict import Outcome, Verdict
from tokgate.measure.measurement import Canary, Problem


def judge_answers(server: str, canary: Canary, problems: Sequence[Problem]) -> Verdict:
    """Pass unless something is wrong with the answers to the canary questions. problems: as of `check_answers`."""
    answers = format_count(len(canary.answers.texts), "answer")
    seen = f"{canary.right} of {canary.known} known answers are right, {canary.repeating} of {answers} repetitive"
    return Verdict(
        kind="answers",
        server=server,
        workload="canary",
        metric="answers",
        outcome=Outcome.INVALID if problems else Outcome.PASS,
        launches=1,
        reason="; ".join([*(problem.detail for problem in problems), seen]),
    )
