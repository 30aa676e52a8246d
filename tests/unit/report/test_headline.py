"""What is said first of a run."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tokgate.judge.coverage import Missing
from tokgate.judge.verdict import Outcome
from tokgate.measure.measurement import Problem
from tokgate.report.badge import State, make_badge
from tokgate.report.headline import make_headline
from tokgate.report.trend import Turn
from tokgate.store.runs import RunRecord

replace = msgspec.structs.replace


def gates(record: RunRecord, *outcomes: Outcome) -> RunRecord:
    """The record with its first gates' outcomes set to these, the rest passed, and without hypotheses."""
    found = [one for one in record.verdicts if one.kind == "gate"]
    wanted = [*outcomes, *[Outcome.PASS] * (len(found) - len(outcomes))]
    verdicts = tuple(replace(one, outcome=outcome) for one, outcome in zip(found, wanted, strict=True))
    return replace(record, verdicts=verdicts, hypotheses=())


def broken(record: RunRecord) -> RunRecord:
    first, *rest = record.measurements
    bad = replace(first, valid=False, problems=(Problem(rule="host_busy", detail="make took 2 cores"),))
    return replace(record, measurements=(bad, *rest))


def test_regression_comes_first_with_its_size(slow_night: RunRecord) -> None:
    """A regression comes first, with its size and its values."""
    said = make_headline(slow_night)
    assert said.state is State.REGRESSED
    assert said.title == "2 of 12 figures got worse and 1 claim contradicted."
    assert "llamacpp-q4 chat-c1 decode_tps: 15" in said.findings[0]
    assert "% slower (23.9" in said.findings[0]
    assert said.findings[2].startswith("shm-size: refuted: ratio of decode_tps 0.999")


def test_the_longest_time_is_worse_too(slow_night: RunRecord) -> None:
    record = gates(slow_night, Outcome.REGRESSED)
    first = replace(record.verdicts[0], metric="ttft_s", ratio=1.25, current=0.5, baseline=0.4)
    said = make_headline(replace(record, verdicts=(first, *record.verdicts[1:])))
    assert said.title == "1 of 12 figures got worse."
    assert said.findings == ("vllm-fp16 chat-c1 ttft_s: 25 % longer (400.0 ms → 500.0 ms)",)


@pytest.mark.parametrize(
    ("changes", "state", "words"),
    [
        ({"ended": None}, State.BROKEN, "cut off after 12 measurements"),
        ({"ended": None, "measurements": (), "verdicts": ()}, State.BROKEN, "cut off after 0 measurements"),
        ({"measurements": (), "verdicts": ()}, State.EMPTY, "Nothing was measured"),
    ],
)
def test_runs_that_say_nothing_of_speed(
    slow_night: RunRecord, changes: dict[str, Any], state: State, words: str
) -> None:
    said = make_headline(replace(gates(slow_night), **changes))
    assert said.state is state
    assert words in said.title


def test_invalid_measurement_hides_no_regression(slow_night: RunRecord) -> None:
    """An invalid measurement makes the run broken, but does not hide a regression."""
    said = make_headline(broken(gates(slow_night)))
    assert (said.state, said.title) == (State.BROKEN, "1 of 12 measurements cannot be trusted.")
    assert said.findings == ("vllm-fp16 chat-c1, launch 1: host_busy: make took 2 cores",)
    assert make_headline(broken(gates(slow_night, Outcome.REGRESSED))).state is State.REGRESSED


def test_inconclusive_is_not_passed(slow_night: RunRecord) -> None:
    assert make_headline(gates(slow_night)).state is State.PASSED
    said = make_headline(gates(slow_night, Outcome.INCONCLUSIVE))
    assert said.state is State.UNDECIDED
    assert said.title == "Nothing looks slower, but 1 of 12 verdicts cannot tell."


def test_advice_without_a_baseline_is_to_accept_one(slow_night: RunRecord) -> None:
    """Without a baseline, the next step is to accept one."""
    said = make_headline(gates(slow_night, *[Outcome.NO_BASELINE] * 12))
    assert said.state is State.UNDECIDED
    assert f"tokgate baseline accept {slow_night.run_id}" in said.advice
    # One cell without a baseline never gated anything: the others still say that nothing got slower.
    assert make_headline(gates(slow_night, Outcome.NO_BASELINE)).state is State.PASSED


def test_quiet_run_does_not_clear_its_history(slow_night: RunRecord) -> None:
    """A run that finds nothing does not clear its history."""
    turn = Turn(
        at="2026-03-01T02:00:00.000+00:00",
        about="q4 chat-c1 decode_tps",
        badge=make_badge(State.REGRESSED),
        text="",
        suspects=(),
        open=True,
    )
    for record in (gates(slow_night), gates(slow_night, *[Outcome.NO_BASELINE] * 12)):
        said = make_headline(record, [turn, turn])
        assert said.state is State.SLIPPED
        assert said.title.endswith("nothing slower, but its history does: 1 figure, since 2026-03-01.")
    assert make_headline(slow_night, [turn]).state is State.REGRESSED
    assert make_headline(broken(gates(slow_night)), [turn]).state is State.BROKEN


def test_improvements_are_told(slow_night: RunRecord) -> None:
    said = make_headline(gates(slow_night, Outcome.IMPROVED))
    assert said.title == "Nothing got slower, and 1 figure got better."


def test_contradicted_claim_is_a_finding(slow_night: RunRecord) -> None:
    """A claim that contradicts its record is a finding."""
    claims = tuple(one for one in slow_night.verdicts if one.kind == "hypothesis")
    said = make_headline(replace(slow_night, verdicts=claims))
    assert (said.state, said.title) == (State.CONTRADICTED, "1 claim contradicted.")
    settled = tuple(replace(one, status="refuted") if one.name == "shm-size" else one for one in slow_night.hypotheses)
    assert make_headline(replace(slow_night, verdicts=claims, hypotheses=settled)).state is State.PASSED


def test_undecided_says_what_it_looks_like(slow_night: RunRecord) -> None:
    record = gates(slow_night, Outcome.INCONCLUSIVE)
    first = replace(record.verdicts[0], ratio=0.55, launches=3, launches_to_decide=7)
    said = make_headline(replace(record, verdicts=(first, *record.verdicts[1:])))
    assert said.state is State.UNDECIDED
    assert said.title == (
        "Cannot tell yet: vllm-fp16 chat-c1 decode_tps looks 45 % slower; needs 4 more launches "
        "(1 of 12 verdicts cannot tell)."
    )


def test_a_run_in_progress_is_not_broken(slow_night: RunRecord) -> None:
    said = make_headline(replace(slow_night, ended=None), running=True)
    assert said.state is State.RUNNING
    assert said.title == "Still running: 12 measurements and 15 verdicts so far."
    assert said.findings[0].startswith("llamacpp-q4 chat-c1 decode_tps: 15")


def test_a_missing_verdict_is_not_passed(slow_night: RunRecord) -> None:
    """One that something prevented breaks the run; what the user left out is said, and passes."""
    record = gates(slow_night)
    prevented = Missing(name="a × b decode_tps", server="a", why="its test ended with Skipped", deselected=False)
    said = make_headline(replace(record, missing=(prevented,)))
    assert (said.state, said.title) == (State.BROKEN, "No verdict on 1 figure.")
    assert said.findings == ("a × b decode_tps: its test ended with Skipped",)
    assert make_headline(replace(gates(slow_night, Outcome.REGRESSED), missing=(prevented,))).state is State.REGRESSED
    said = make_headline(replace(record, missing=(replace(prevented, deselected=True),)))
    assert (said.state, said.title) == (State.PASSED, "Nothing got slower in what was selected.")


def test_nothing_judged_is_not_passed(slow_night: RunRecord) -> None:
    said = make_headline(replace(slow_night, verdicts=(), hypotheses=()))
    assert (said.state, said.title) == (State.UNDECIDED, "Measured, but nothing was judged.")
