"""The verdicts that a run planned and did not give: one name for each, one line for each reason."""

from __future__ import annotations

import pytest

from tokgate.judge.cell import CellKey
from tokgate.judge.coverage import Missing, describe_missing, name_verdict, plan_answers, plan_cell, plan_hypothesis
from tokgate.judge.verdict import Outcome, Verdict


@pytest.mark.parametrize(
    ("verdict", "planned"),
    [
        (
            Verdict(kind="gate", server="s", workload="w", metric="m", outcome=Outcome.PASS),
            plan_cell(CellKey("s", "w", "m")),
        ),
        (
            Verdict(kind="answers", server="s", workload="canary", metric="", outcome=Outcome.PASS),
            plan_answers("s"),
        ),
        (
            Verdict(
                kind="hypothesis", server="s | t", workload="w", metric="m", outcome=Outcome.CONFIRMED, hypothesis="h"
            ),
            plan_hypothesis("h"),
        ),
    ],
    ids=lambda each: each.kind if isinstance(each, Verdict) else "",
)
def test_a_verdict_has_the_name_it_was_planned_by(verdict: Verdict, planned: object) -> None:
    assert name_verdict(verdict) == planned.name  # type: ignore[attr-defined]


def missing(name: str, why: str, *, deselected: bool = False) -> Missing:
    return Missing(name=name, server="s", why=why, deselected=deselected)


def test_what_the_user_left_out_is_one_line() -> None:
    """What something prevented is named, the first three of each reason."""
    left_out = [missing(f"s × w m{n}", "not selected (-k x)", deselected=True) for n in range(9)]
    prevented = [missing(f"s × w m{n}", "the run stopped before it") for n in range(4)]
    alone = missing("answers of s", "its test ended with Failed: Timeout")
    assert describe_missing([*left_out, *prevented, alone]) == (
        "9 verdicts: not selected (-k x)",
        "s × w m0, s × w m1, s × w m2 and 1 more verdict: the run stopped before it",
        "answers of s: its test ended with Failed: Timeout",
    )
    assert describe_missing([]) == ()
