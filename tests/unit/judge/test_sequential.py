"""Boundaries against published ones and against the walk they are for."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri, stdtrit
from scipy.stats import binom

from tokgate.judge.sequential import T_EXCESS, Spending, look_tail, nominal_tails, spend_evenly, spend_late


def test_five_looks_have_published_boundaries() -> None:
    """Five equal looks give the published boundaries."""
    # R: ldbounds::ldBounds(t = (1:5)/5, iuse = 1, alpha = 0.025, sides = 1)$upper.bounds
    bounds = [-ndtri(tail) for tail in nominal_tails(0.025, (0.2, 0.4, 0.6, 0.8, 1.0))]
    assert bounds == pytest.approx([4.8769, 3.3569, 2.6803, 2.2898, 2.0310], abs=2e-4)


@given(st.floats(1e-5, 0.2))
def test_one_look_spends_it_all(tail: float) -> None:
    assert nominal_tails(tail, (1.0,)) == pytest.approx((tail,), rel=1e-6)


@settings(max_examples=20)
@given(st.floats(1e-4, 0.1), st.integers(2, 8))
def test_later_looks_need_less_evidence(tail: float, looks: int) -> None:
    """Later looks need less evidence, but none less than a single look would."""
    tails = nominal_tails(tail, tuple((look + 1) / looks for look in range(looks)))
    assert list(tails) == sorted(tails)
    assert tails[-1] < tail
    assert tails[0] == pytest.approx(spend_late(tail, 1 / looks), rel=1e-4, abs=1e-15)


def test_a_walk_crosses_as_often_as_planned() -> None:
    """A walk without drift crosses the boundaries as often as the error that is spent."""
    rng, looks, tail = np.random.default_rng(3), 4, 0.05
    steps = rng.normal(0, math.sqrt(1 / looks), (200_000, looks)).cumsum(axis=1)
    z = steps / np.sqrt((np.arange(looks) + 1) / looks)
    bounds = -ndtri(nominal_tails(tail, tuple((look + 1) / looks for look in range(looks))))
    assert (z > bounds).any(axis=1).mean() == pytest.approx(tail, abs=0.0015)  # three standard errors


@pytest.mark.parametrize("fractions", [(), (0.5,), (0.5, 0.4, 1.0), (0.0, 1.0)])
def test_fractions_that_do_not_rise_are_rejected(fractions: tuple[float, ...]) -> None:
    """Fractions that do not rise to one are rejected."""
    with pytest.raises(ValueError, match="rise from above 0 to 1"):
        nominal_tails(0.01, fractions)


def test_bad_tails_are_rejected() -> None:
    with pytest.raises(ValueError, match=r"a tail must be between 0 and 0\.5, got 0\.7"):
        nominal_tails(0.7, (1.0,))


def test_error_is_spent_from_the_third_launch_on() -> None:
    """Nothing is decided before the third launch, and all error is spent at the last one."""
    tails = [look_tail(0.01, launches=n, planned=5, baseline=10) for n in range(1, 7)]
    assert tails[:2] == [0, 0]
    assert 0 < tails[2] < tails[3] < tails[4] < 0.01
    assert tails[5] == tails[4]
    assert look_tail(0.01, launches=2, planned=2, baseline=10) == pytest.approx(0.01, rel=1e-6)


def test_a_baseline_is_information_from_the_start() -> None:
    """A baseline is information before the first launch."""
    measured = look_tail(0.01, launches=3, planned=6, baseline=10)
    exact = look_tail(0.01, launches=3, planned=6, baseline=math.inf)
    assert exact == pytest.approx(spend_late(0.01, 0.5), rel=1e-4)
    assert measured > exact


@pytest.mark.parametrize("spend", [spend_late, spend_evenly])
def test_all_error_is_spent_at_the_end(spend: Spending) -> None:
    assert spend(0.02, 1.0) == pytest.approx(0.02)
    assert spend(0.02, 0.3) < spend(0.02, 0.6) < 0.02


def test_pairs_can_be_decided_at_the_first_look() -> None:
    """Three launch pairs have 2 degrees of freedom; what is spent on them decides what is clear."""
    pairs, exact = (look_tail(0.01, launches=3, planned=10, baseline=baseline) for baseline in (None, math.inf))
    assert pairs == pytest.approx(0.01 / T_EXCESS * 0.3**1.5, rel=1e-4)
    assert -stdtrit(2, pairs) < 25
    assert -stdtrit(2, exact) > 400
    assert look_tail(0.01, launches=3, planned=3, baseline=None) == pytest.approx(0.01, rel=1e-6)


@pytest.mark.parametrize("tail", [0.025, 0.01, 0.01 / 9])
@pytest.mark.parametrize("planned", [4, 8, 10, 12])
def test_a_t_statistic_errs_no_more_than_planned(planned: int, tail: float) -> None:
    """The boundaries are for a normal walk: at few degrees of freedom a t statistic crosses them more often."""
    rng, runs = np.random.default_rng(planned), 300_000
    values = rng.standard_normal((runs, planned), dtype=np.float32)
    count = np.arange(1, planned + 1)
    means = values.cumsum(axis=1) / count
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = np.sqrt(((values**2).cumsum(axis=1) / count - means**2) / (count - 1))
        t = means[:, 2:] / errors[:, 2:]
    bounds = [-stdtrit(n - 1, look_tail(tail, launches=n, planned=planned, baseline=None)) for n in count[2:]]
    crossed = int((t > bounds).any(axis=1).sum())
    assert binom.sf(crossed - 1, runs, tail) > 1e-3, f"{crossed / runs / tail:.2f} of the tail"
    assert crossed > 0.75 * tail * runs
