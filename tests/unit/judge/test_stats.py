"""Estimators against scipy and numpy, their intervals by coverage, and what they refuse."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tokgate.judge.blocks import Block
from tokgate.judge.stats import (
    LogRatio,
    against_figure,
    against_history,
    contrast,
    log_moments,
    welch,
)

FIGURES = st.floats(1e-3, 1e4)
LAUNCHES = st.lists(FIGURES, min_size=2, max_size=12).filter(lambda v: max(v) / min(v) > 1.0001)
ORDERS = st.sampled_from([("a", "b"), ("b", "a")])
B_OVER_A = {"a": -1, "b": 1}


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_bad_values_are_rejected_with_their_index(bad: float) -> None:
    """A value must be finite and above zero; the error gives its index."""
    with pytest.raises(ValueError, match=f"value 1 is {bad!r}"):
        log_moments((1.0, bad))


def test_no_values_are_rejected() -> None:
    with pytest.raises(ValueError, match="at least one launch"):
        log_moments(())


@given(LAUNCHES)
def test_moments_are_numpys(values: list[float]) -> None:
    mean, variance = log_moments(values)
    assert mean == pytest.approx(np.log(values).mean(), abs=1e-9)
    assert variance == pytest.approx(np.log(values).var(ddof=1), rel=1e-6)


@given(LAUNCHES, LAUNCHES)
def test_welch_agrees_with_scipy(current: list[float], baseline: list[float]) -> None:
    """The same as scipy, except for the cap on the degrees of freedom."""
    # scipy.stats.ttest_ind(np.log(current), np.log(baseline), equal_var=False)
    found, known = (
        welch(current, baseline),
        stats.ttest_ind(np.log(current), np.log(baseline), equal_var=False),
    )
    assert found.estimate / found.se == pytest.approx(known.statistic, rel=1e-6, abs=1e-9)
    assert found.df == pytest.approx(min(known.df, 2 * (min(len(current), len(baseline)) - 1)), rel=1e-6)


@given(LAUNCHES, LAUNCHES, st.floats(1e-6, 0.4))
def test_interval_ends_where_the_p_value_is_its_tail(current: list[float], baseline: list[float], tail: float) -> None:
    found = welch(current, baseline)
    low, high = found.interval(tail)
    if low > 0 and math.isfinite(high):
        assert found.p_below(math.log(high)) == pytest.approx(tail, rel=1e-3)
        assert found.p_above(math.log(low)) == pytest.approx(tail, rel=1e-3)
    assert low <= found.ratio <= high


@given(LAUNCHES, LAUNCHES)
def test_a_drop_one_way_is_a_rise_the_other(current: list[float], baseline: list[float]) -> None:
    assert welch(current, baseline).p_below() == pytest.approx(welch(baseline, current).p_above(), rel=1e-9)


def test_one_value_has_no_spread_and_excludes_nothing() -> None:
    assert welch((0.1,), (1.0, 1.01)).interval(0.1) == (0, math.inf)
    assert against_history((0.1, 0.1), (1.0,)).interval(0.1) == (0, math.inf)
    assert against_figure((0.1,), 1.0).p_below() == 1


def test_no_scatter_gives_an_interval_of_no_width() -> None:
    found = welch((2.0, 2.0), (4.0, 4.0, 4.0))
    assert found.interval(0.01) == (0.5, 0.5)
    assert (found.p_below(), found.p_above()) == (0, 1)


def test_bad_tails_are_rejected() -> None:
    with pytest.raises(ValueError, match=r"a tail must be between 0 and 0\.5, got 0\.5"):
        LogRatio(estimate=0.0, se=1.0, df=1.0).interval(0.5)


def test_history_predicts_one_more_night() -> None:
    """A history gives the prediction interval of one more night."""
    # mean +- t(0.975, n - 1) s sqrt(1 + 1/n), Hahn and Meeker, Statistical Intervals, section 4.8
    nights = [9.8, 10.1, 10.0, 10.3, 9.9]
    logs = np.log(nights)
    half = stats.t.ppf(0.975, 4) * logs.std(ddof=1) * math.sqrt(1 + 1 / 5)
    low, high = against_history([10.0, 10.0], nights).interval(0.025)
    assert math.log(low) == pytest.approx(math.log(10) - logs.mean() - half)
    assert math.log(high) == pytest.approx(math.log(10) - logs.mean() + half)


def test_figure_gives_the_one_sample_t() -> None:
    current = [9.8, 10.1, 10.0, 10.3]
    known = stats.ttest_1samp(np.log(current), math.log(10.5), alternative="less")
    assert against_figure(current, 10.5).p_below() == pytest.approx(known.pvalue)


@given(st.lists(st.tuples(ORDERS, *[st.floats(0.5, 2.0)] * 4), min_size=1, max_size=6))
def test_blocks_are_least_squares(drawn: list[tuple[Any, ...]]) -> None:
    """The same as least squares with a level and a slope for each block."""
    k = len(drawn)
    design, y = np.zeros((4 * k, 2 * k + 1)), []
    for i, (arms, *values) in enumerate(drawn):
        design[4 * i : 4 * i + 4, 2 * i] = 1
        design[4 * i : 4 * i + 4, 2 * i + 1] = np.arange(4)
        design[4 * i : 4 * i + 4, -1] = [arm == "b" for arm in (*arms, *reversed(arms))]
        y += np.log(values).tolist()
    solution, *_ = np.linalg.lstsq(design, np.array(y), rcond=None)
    residual = np.array(y) - design @ solution
    df = 4 * k - (2 * k + 1)
    se = math.sqrt(residual @ residual / df * np.linalg.inv(design.T @ design)[-1, -1])
    found = contrast([Block(arms=arms, values=tuple(values)) for arms, *values in drawn], B_OVER_A)
    assert found.df == df
    assert found.estimate == pytest.approx(solution[-1], abs=1e-9)
    assert found.se == pytest.approx(se, abs=1e-9)


@given(st.lists(st.tuples(st.permutations("gmb"), *[st.floats(0.5, 2.0)] * 6), min_size=1, max_size=4))
def test_a_contrast_of_three_arms_is_least_squares_too(drawn: list[tuple[Any, ...]]) -> None:
    """Effects of m and b against g; the block means of the other contrast are not used for the scatter."""
    k = len(drawn)
    weights = {"g": -0.5, "b": -0.5, "m": 1.0}
    blocks = [Block(arms=tuple(arms), values=tuple(values)) for arms, *values in drawn]
    design, y = np.zeros((6 * k, 2 * k + 2)), []
    for i, (arms, *values) in enumerate(drawn):
        rows = slice(6 * i, 6 * i + 6)
        design[rows, 2 * i] = 1
        design[rows, 2 * i + 1] = np.arange(6)
        design[rows, -2] = [arm == "m" for arm in (*arms, *reversed(arms))]
        design[rows, -1] = [arm == "b" for arm in (*arms, *reversed(arms))]
        y += np.log(values).tolist()
    solution, *_ = np.linalg.lstsq(design, np.array(y), rcond=None)
    found = contrast(blocks, weights)
    assert found.estimate == pytest.approx(solution[-2] - solution[-1] / 2, abs=1e-9)
    assert found.df == 2 * k + k - 1
    more = contrast(blocks, weights, beside=blocks)
    assert (more.estimate, more.df) == (found.estimate, 2 * k + k - 1 + 2 * k)
    if k == 1:  # one block has no means to scatter: the residual is that of the whole model
        residual = np.array(y) - design @ solution
        of_contrast = np.array([0, 0, 1, -0.5]) @ np.linalg.inv(design.T @ design) @ np.array([0, 0, 1, -0.5])
        assert found.se == pytest.approx(math.sqrt(residual @ residual / 2 * of_contrast), abs=1e-9)


@given(st.floats(-0.1, 0.1), st.lists(st.floats(-0.5, 0.5), min_size=2, max_size=4))
def test_linear_drift_in_a_block_changes_nothing(effect: float, slopes: list[float]) -> None:
    noise = [0.01, -0.02, 0.005, 0.0]

    def block(slope: float) -> Block:
        logs = [noise[at] + slope * at + effect * (arm == "b") for at, arm in enumerate("abba")]
        return Block(arms=("a", "b"), values=tuple(math.exp(log) for log in logs))

    still, drifting = (contrast([block(slope) for slope in of], B_OVER_A) for of in ([0.0] * len(slopes), slopes))
    assert drifting.estimate == pytest.approx(still.estimate, abs=1e-9)
    assert drifting.se == pytest.approx(still.se, abs=1e-9)


def test_no_blocks_are_rejected() -> None:
    with pytest.raises(ValueError, match="at least one complete A B B A"):
        contrast([], B_OVER_A)


LOGNORMAL = "log-normal"
SKEWED = "gamma of shape 4: skewed"


def draws(kind: str, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Figures about 1, with a CV of 2 %."""
    if kind == LOGNORMAL:
        return np.exp(rng.normal(0, 0.02, shape))
    return np.exp(0.02 * (rng.gamma(4.0, 1.0, shape) - 4.0) / 2.0)


@pytest.mark.parametrize("kind", [LOGNORMAL, SKEWED])
@pytest.mark.parametrize("of", ["launches", "nights", "blocks"])
def test_intervals_of_95_percent_cover_95_percent(kind: str, of: str) -> None:
    rng, runs = np.random.default_rng(5), 4000
    covered = 0
    for _ in range(runs):
        if of == "launches":
            found = welch(draws(kind, rng, (5,)).tolist(), draws(kind, rng, (10,)).tolist())
        elif of == "nights":
            tonight, *nights = draws(kind, rng, (13,)).tolist()
            found = against_history([tonight, tonight], nights)
        else:
            blocks = draws(kind, rng, (3, 4)).tolist()
            found = contrast([Block(arms=("a", "b"), values=tuple(block)) for block in blocks], B_OVER_A)
        low, high = found.interval(0.025)
        covered += low <= 1 <= high
    # Three standard errors of 4,000 runs are one point; the skewed draws cost the short samples another.
    assert 0.93 <= covered / runs <= 0.97
