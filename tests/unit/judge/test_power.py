"""Power against scipy's noncentral t, and the figures the project was planned with."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tokgate.judge.power import detectable_log, fewest, gate_drop, noncentrality
from tokgate.judge.stats import mean_error


@pytest.mark.parametrize("df", [3.3, 8.0, 13.0, 50.0])
@pytest.mark.parametrize("tail", [0.0005, 0.01, 0.05])
@pytest.mark.parametrize("power", [0.8, 0.95])
def test_noncentrality_has_the_power_asked_for(df: float, tail: float, power: float) -> None:
    nc = noncentrality(df, tail, power)
    assert stats.nct.sf(stats.t.isf(tail, df), df, nc) == pytest.approx(power, abs=1e-3)


@pytest.mark.parametrize(
    ("launches", "cv", "drop"),
    [
        (3, 0.01, 3.5),
        (3, 0.02, 6.7),
        (5, 0.01, 2.1),
        (5, 0.02, 4.1),
        (5, 0.05, 9.9),
        (8, 0.01, 1.5),
        (8, 0.05, 7.3),
    ],
)
def test_published_detectable_drops(launches: int, cv: float, drop: float) -> None:
    """The detectable drops of the table that the project was planned with."""
    # Two-sided 5 %, 80 % power, equal samples, simulated: there the degrees of freedom are estimated, which
    # costs three launches a seventh more than the noncentral t with the true ones says.
    se, df = mean_error((cv**2, launches), (cv**2, launches))
    assert -100 * math.expm1(-detectable_log(se, df, 0.025)) == pytest.approx(drop, rel=0.15)


def test_unknown_and_zero_scatter() -> None:
    """With an unknown scatter nothing can be detected, with none everything."""
    assert detectable_log(math.inf, 1.0, 0.01) == math.inf
    assert detectable_log(0.0, 4.0, 0.01) == 0


def error(launches: int) -> tuple[float, float]:
    """A cell with a CV of 1 % against ten launches."""
    return mean_error((1e-4, launches), (1e-4, 10))


def test_both_stages_must_detect_the_drop() -> None:
    """Both stages must detect the drop, and it must be beyond the tolerance."""
    limits = {"screen": 0.0025, "share": 0.0005, "limit": 0.0}
    drop = gate_drop(error, 5, tolerance=0.001, **limits)
    stages = detectable_log(*error(5), 0.0025, 0.9), detectable_log(*error(6), 0.0005, 0.9)
    assert drop == pytest.approx(-math.expm1(-max(stages)))
    wide = gate_drop(error, 5, tolerance=0.1, **limits)
    assert wide is not None
    assert 0.1 < wide < 0.11
    sure = gate_drop(error, 5, tolerance=0.001, power=0.95, **limits)
    assert sure is not None
    assert drop is not None
    assert sure > drop


def test_without_a_spread_no_drop_is_seen() -> None:
    assert gate_drop(lambda n: (math.inf, 1.0), 5, screen=0.01, share=0.01, limit=0, tolerance=0.03) is None


@given(st.integers(2, 1000))
def test_fewest_is_the_first_that_is_enough(first: int) -> None:
    assert fewest(lambda count: count >= first) == first


def test_fewest_gives_up_after_a_thousand() -> None:
    assert fewest(lambda count: count > 1000) is None
