"""The power of comparisons, by the noncentral t: the smallest detectable drop, and the fewest launches that detect one."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from scipy.optimize import brentq
from scipy.special import chdtri, ndtr, ndtri, stdtrit

POWER = 0.8
"""The usual convention: a drop counts as detectable when 8 of 10 runs would detect it."""

MOST = 1000
"""Launches or blocks, beyond which no number is suggested: nobody would run them."""

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)


@lru_cache(maxsize=4096)
def noncentrality(df: float, tail: float, power: float = POWER) -> float:
    """True effect, in standard errors, that a one-sided t test at `tail` detects with probability `power`.

    The test rejects when Z + nc > t S, with S^2 = chi^2 / df, so nc is the `power` quantile of t S - Z.
    Quadrature over S, because the inverse noncentral t of scipy does not return for the far tails at few
    degrees of freedom; tests compare it with scipy.stats.nct where that does.
    """
    t = -float(stdtrit(df, tail))
    scale = t * np.sqrt(chdtri(df, (1 - _NODES) / 2) / df)

    def excess(nc: float) -> float:
        return float(_WEIGHTS @ ndtr(nc - scale)) / 2 - power

    return float(brentq(excess, -9.0, float(scale.max()) + 9.0, xtol=1e-6))


def detectable_log(se: float, df: float, tail: float, power: float = POWER) -> float:
    """Smallest log drop (positive) that a comparison of this se and df detects at `power`; inf if se is."""
    if math.isinf(se) or se == 0:
        return se
    return se * noncentrality(round(df, 1), tail, power)


def gate_drop(
    error: Callable[[int], tuple[float, float]],
    launches: int,
    *,
    screen: float,
    share: float,
    limit: float,
    tolerance: float,
    power: float = POWER,
) -> float | None:
    """Smallest drop (fraction) that the gate calls a regression in both stages, with probability `power`.

    error: gives se and df for a number of launches.
    screen: the tail for these launches.
    share: the tail for these launches and one repeat launch.
    limit: the log ratio that the interval must lie below.
    tolerance: the drop that the estimate must exceed.
    Each stage may miss half of what `power` allows, which simulation confirms to 5 points. None when no drop
    would be detected.
    """
    stage = 1 - (1 - power) / 2
    se, df = error(launches)
    screened = detectable_log(se, df, screen, stage)
    concluded = detectable_log(*error(launches + 1), share, stage)
    if math.isinf(screened) or math.isinf(concluded):
        return None
    beyond_tolerance = -math.log1p(-tolerance) + float(ndtri(stage)) * se
    return -math.expm1(-max(screened - limit, concluded - limit, beyond_tolerance))


def fewest(enough: Callable[[int], bool]) -> int | None:
    """The smallest count from 2 up that is enough, where more is never worse; None when 1,000 is not enough."""
    if not enough(MOST):
        return None
    low, high = 1, 2
    while not enough(high):
        low, high = high, min(2 * high, MOST)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
