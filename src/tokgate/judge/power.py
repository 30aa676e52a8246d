"""What a comparison can see: smallest detectable drop, and launches needed for one, by the noncentral t."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from scipy.optimize import brentq
from scipy.special import chdtri, ndtr, stdtrit

from tokgate.judge.stats import welch_error

POWER = 0.8
MOST = 1000

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)


@lru_cache(maxsize=4096)
def noncentrality(df: float, tail: float, power: float = POWER) -> float:
    """True effect, in standard errors, that a one-sided t test at `tail` finds with probability `power`.

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
    """Smallest log drop (positive) that a comparison of this se and df sees at `power`; inf without a spread."""
    if math.isinf(se) or se == 0:
        return se
    return se * noncentrality(round(df, 1), tail, power)


def launches_needed(
    log_drop: float, *, var_c: float, var_b: float, n_b: int, tail: float, power: float = POWER
) -> int | None:
    """Fewest current launches that see a drop of `log_drop` > 0 against a baseline of n_b launches.

    var_c, var_b: variances of one launch's log figure. None when even 1,000 would not do, because the
    baseline has too few.
    """
    if math.isinf(var_c) or math.isinf(var_b) or log_drop <= 0:
        return None

    def sees(n_c: int) -> bool:
        return detectable_log(*welch_error(var_c, n_c, var_b, n_b), tail, power) <= log_drop

    return _fewest(sees)


def blocks_needed(log_gap: float, *, se_of_one: float, tail: float, power: float = POWER) -> int | None:
    """Fewest A B B A blocks that tell two log ratios `log_gap` > 0 apart; None when even 1,000 would not.

    se_of_one: standard error that one block's log ratio has, the spread of a launch.
    """
    if log_gap <= 0:
        return None
    return _fewest(
        lambda blocks: detectable_log(se_of_one / math.sqrt(blocks), 2 * blocks - 1, tail, power) <= log_gap
    )


def _fewest(enough: Callable[[int], bool]) -> int | None:
    """The smallest count from 2 up that is enough, by bisection; None when 1,000 is not."""
    if not enough(MOST):
        return None
    low, high = 1, 2
    while not enough(high):
        low, high = high, min(2 * high, MOST)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
