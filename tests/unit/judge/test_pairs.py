"""Arms that are alive together: rounds, launch pairs, and what the gate and a hypothesis decide from them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tokgate.config.hypothesis import Arm, Claim, Hypothesis
from tokgate.judge.blocks import Block, pair_rounds
from tokgate.judge.cell import Cell, Reference
from tokgate.judge.gate import confirm, judge, needs_confirmation
from tokgate.judge.hypothesis import decide
from tokgate.judge.looks import Looks
from tokgate.judge.plan import Expected, plan_fixed
from tokgate.judge.stats import contrast
from tokgate.judge.verdict import Outcome, Verdict

B_OVER_A = {"b": 1, "a": -1}
VALUES = st.floats(0.1, 1000.0)
ROUNDS = st.lists(st.tuples(VALUES, VALUES, VALUES), min_size=1, max_size=13)
SHAPE = (0.9, -1.1, 0.2, -0.4, 1.2, -0.7, 0.1, -0.2, 0.6)


def rounds(drawn: list[tuple[float, ...]], arms: str = "ab") -> dict[str, list[float]]:
    return {arm: [values[at] for values in drawn] for at, arm in enumerate(arms)}


def pair(ratio: float, level: float = 100.0) -> Block:
    """A launch pair with B / A = ratio."""
    return Block(arms=("a", "b"), values=(level, level * ratio))


def pairs(ratio: float, count: int, cv: float = 0.01) -> list[Block]:
    """Launch pairs whose ratios scatter by about `cv`, on a machine that changes its speed all the time."""
    return [pair(ratio * math.exp(cv * SHAPE[at]), level=100 + 30 * SHAPE[at]) for at in range(count)]


@given(ROUNDS)
def test_the_ratio_is_the_median_of_the_rounds(drawn: list[tuple[float, ...]]) -> None:
    block = pair_rounds(rounds(drawn), "ab")
    assert block.design == "duet"
    assert block.order == ("a", "b")
    ratios = [math.log(b / a) for a, b, _ in drawn]
    assert contrast([block], B_OVER_A).estimate == pytest.approx(float(np.median(ratios)), abs=1e-9)
    level = np.mean(np.log([values[:2] for values in drawn]))
    assert np.mean(np.log(block.values)) == pytest.approx(level, abs=1e-9)


@given(ROUNDS, st.data())
def test_what_slows_all_arms_cancels(drawn: list[tuple[float, ...]], data: st.DataObject) -> None:
    speeds = data.draw(st.lists(st.floats(0.1, 10.0), min_size=len(drawn), max_size=len(drawn)))
    slowed = [tuple(speed * value for value in values) for speed, values in zip(speeds, drawn, strict=True)]
    steady, shaken = (pair_rounds(rounds(each, "abc"), "abc") for each in (drawn, slowed))
    for weights in (B_OVER_A, {"c": 1, "a": -0.5, "b": -0.5}):
        assert contrast([shaken], weights).estimate == pytest.approx(contrast([steady], weights).estimate, abs=1e-9)


@given(ROUNDS)
def test_order_and_names_do_not_matter(drawn: list[tuple[float, ...]]) -> None:
    ratio = contrast([pair_rounds(rounds(drawn), "ab")], B_OVER_A).estimate
    assert contrast([pair_rounds(rounds(drawn), "ba")], B_OVER_A).estimate == pytest.approx(ratio, abs=1e-12)
    assert contrast([pair_rounds(rounds(drawn, "ba"), "ab")], B_OVER_A).estimate == pytest.approx(-ratio, abs=1e-12)


def test_a_disturbed_round_is_left_out() -> None:
    """Rounds in which something slowed only one arm do not move the median."""
    steady = [(100.0, 90.0), (110.0, 99.0), (90.0, 81.0), (100.0, 90.0), (120.0, 108.0)]
    block = pair_rounds(rounds([*steady, (100.0, 30.0), (20.0, 90.0)]), "ab")
    assert contrast([block], B_OVER_A).ratio == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({"a": [1.0], "c": [1.0]}, r"the rounds are of \['a', 'c'\], expected those of \['a', 'b'\]"),
        ({"a": [], "b": []}, "each arm needs one value in every round, got {'a': 0, 'b': 0}"),
        ({"a": [1.0, 1.0], "b": [1.0]}, "each arm needs one value in every round, got {'a': 2, 'b': 1}"),
        ({"a": [1.0, 1.0], "b": [1.0, 0.0]}, "round 1 of b is 0.0; it must be finite and above zero"),
        ({"a": [math.nan], "b": [1.0]}, "round 0 of a is nan"),
    ],
)
def test_bad_rounds_are_rejected(bad: dict[str, list[float]], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        pair_rounds(bad, "ab")


@given(st.lists(st.tuples(VALUES, VALUES, VALUES), min_size=2, max_size=9))
def test_launch_pairs_give_the_paired_t(drawn: list[tuple[float, ...]]) -> None:
    found = contrast([Block(arms=("a", "b", "c"), values=values) for values in drawn], B_OVER_A)
    a, b, _ = np.log(drawn).T
    assert found.df == len(drawn) - 1
    assert found.estimate == pytest.approx(np.mean(b - a), abs=1e-9)
    assert found.se == pytest.approx(stats.sem(b - a), abs=1e-9)


def test_one_launch_pair_excludes_nothing() -> None:
    assert contrast([pair(0.5)], B_OVER_A).interval(0.025) == (0, math.inf)


def test_designs_do_not_mix() -> None:
    mirrored = Block(arms=("a", "b"), values=(1.0, 1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="compare within one design"):
        contrast([pair(1.0), mirrored], B_OVER_A)
    with pytest.raises(ValueError, match="compare within one design"):
        contrast([mirrored], B_OVER_A, beside=[pair(1.0)])


def cell(ratio: float, count: int = 6, *, cv: float = 0.01, **changes: Any) -> Cell:
    """A candidate beside another server on a machine that changes its speed all the time."""
    blocks = pairs(ratio, count, cv)
    values: dict[str, Any] = {
        "server": "candidate",
        "workload": "short",
        "metric": "decode_tps",
        "current": tuple(block.values[1] for block in blocks),
        "reference": Reference(
            kind="pairs", values=tuple(block.values[0] for block in blocks), label="main, beside it", design="duet"
        ),
        "invalid": None,
        "tolerance": 0.03,
        "promise": 0.05,
    }
    return Cell(**(values | changes))


def verdict(compared: Cell, **options: Any) -> Verdict:
    (only,) = judge([compared], **options)
    return only


def test_a_slower_candidate_is_regressed() -> None:
    """The machine changes by 60 %; the ratios of launch pairs show a drop of 10 %."""
    result = verdict(cell(0.9))
    assert result.outcome is Outcome.REGRESSED
    assert result.design == "duet"
    assert result.ratio == pytest.approx(0.9, rel=0.01)
    assert result.min_detectable_drop is not None
    assert 0.01 < result.min_detectable_drop < 0.05
    assert "over 6 launch pairs" in result.reason
    assert "in main, beside it" in result.reason
    assert verdict(cell(1.0)).outcome is Outcome.PASS
    assert verdict(cell(1.1)).outcome is Outcome.IMPROVED


def test_a_repeat_launch_pair_confirms() -> None:
    slow = cell(0.9)
    confirmed = confirm(verdict(slow), slow.add_launch(45.0, 50.0))
    assert (confirmed.outcome, confirmed.launches) == (Outcome.REGRESSED, 7)
    assert confirmed.reproduced == pytest.approx(0.9)
    assert "a repeat launch pair at 0.900 confirms it" in confirmed.reason
    alike = confirm(verdict(slow), slow.add_launch(50.0, 50.0))
    assert alike.outcome is Outcome.INCONCLUSIVE
    assert "the first 6 launch pairs looked worse, but a repeat launch pair at 1.000 did not confirm" in alike.reason


def test_launches_without_partners_are_invalid() -> None:
    slow = cell(0.9)
    result = verdict(slow.add_launch(90.0))
    assert result.outcome is Outcome.INVALID
    assert result.reason == "main, beside it: 6 values for 7 of this run; pairs need both"
    with pytest.raises(ValueError, match="5 values for 6 of this run"):
        confirm(verdict(slow), slow.add_launch(90.0))


@pytest.mark.parametrize(("count", "said"), [(1, "has only one value"), (2, "2 of 8 planned launch pairs have run")])
def test_few_launch_pairs_decide_nothing(count: int, said: str) -> None:
    result = verdict(cell(0.5, count, planned=8 if count > 1 else None))
    assert result.outcome is Outcome.INCONCLUSIVE
    assert said in result.reason


def test_more_launch_pairs_would_decide() -> None:
    result = verdict(cell(0.975, 3, cv=0.02))
    assert result.outcome is Outcome.INCONCLUSIVE
    assert (result.launches_to_decide or 0) > 3
    assert f"{result.launches_to_decide} launch pairs would decide" in result.reason


def test_looks_at_launch_pairs() -> None:
    """A regression waits for one more launch pair, and a clear cell stops before the end of the plan."""
    looks, full = Looks(family=1), cell(0.9, 9, cv=0.003)
    reference = full.reference
    assert reference is not None
    for count in range(1, 10):
        seen = cell(0.9, count, cv=0.003, planned=8)
        looks.look([seen])
        if seen.key in looks.decided:
            break
    decided = looks.decided[full.key]
    assert decided.outcome is Outcome.REGRESSED
    assert decided.reproduced is not None
    assert decided.launches < 9
    assert not needs_confirmation(decided)


def test_a_plan_of_launch_pairs() -> None:
    expected = Expected(
        server="candidate",
        workload="short",
        metric="decode_tps",
        startup_s=2.0,
        pass_s=5.0,
        tolerance=0.03,
        promise=0.05,
        cv=0.01,
        reference="pairs",
        values=8,
    )
    drops = [plan_fixed([expected], launches).cells[0].drop for launches in (4, 8)]
    assert drops[0] is not None
    assert drops[1] is not None
    assert drops[0] > drops[1] > 0.01


def hypothesis(claim: Claim) -> Hypothesis:
    a, b = Arm(server="one"), Arm(server="two")
    return Hypothesis(name="h", title="t", source="s", a=a, b=b, workload="w", claim=claim, rival="memory decides")


ABOVE = hypothesis(Claim(metric="decode_tps", above=1.2))


@pytest.mark.parametrize(
    ("ratio", "outcome"), [(1.6, Outcome.CONFIRMED), (1.0, Outcome.REFUTED), (1.2, Outcome.INCONCLUSIVE)]
)
def test_a_claim_tested_by_duet(ratio: float, outcome: Outcome) -> None:
    result = decide(ABOVE, pairs(ratio, 5))
    assert (result.outcome, result.design, result.launches) == (outcome, "duet", 10)
    assert result.ratio == pytest.approx(ratio, rel=0.01)
    assert result.current == pytest.approx(ratio * (result.baseline or 0), rel=0.01)
    assert "over 5 launch pairs; the claim is above 1.2" in result.reason


def test_the_design_of_mirrored_blocks() -> None:
    assert decide(ABOVE, [Block(arms=("a", "b"), values=(1.0, 1.6, 1.6, 1.0))] * 2).design == "blocks"


def test_a_duet_may_stop_early() -> None:
    """Early looks need more evidence; before the first nothing is decided."""
    results = [decide(ABOVE, pairs(1.6, count, cv=0.02), planned=8) for count in range(1, 9)]
    assert [result.outcome for result in results[:2]] == [Outcome.INCONCLUSIVE] * 2
    assert "without an interval, over 2 launch pairs" in results[1].reason
    assert results[1].reason.endswith("2 of 8 planned launch pairs have run")
    assert (results[1].ci_low, results[1].min_detectable_drop) == (None, None)
    assert results[-1].outcome is Outcome.CONFIRMED
    first = next(count for count, result in enumerate(results, 1) if result.outcome is Outcome.CONFIRMED)
    assert 3 <= first < 8
    assert results[-1].ci_low is not None
    unplanned = decide(ABOVE, pairs(1.6, 8, cv=0.02))
    assert unplanned.ci_low == pytest.approx(results[-1].ci_low, rel=0.01)


def test_what_would_decide_a_duet() -> None:
    one = decide(ABOVE, [pair(1.6)])
    assert one.outcome is Outcome.INCONCLUSIVE
    assert one.reason.endswith("one launch pair does not show the scatter; more would decide")
    few = decide(ABOVE, pairs(1.17, 2, cv=0.03))
    assert few.reason.endswith(" launch pairs would decide")
    near = decide(ABOVE, pairs(1.2, 8, cv=0.05))
    assert "launch pairs" in near.reason.rsplit("; ", 1)[1]
