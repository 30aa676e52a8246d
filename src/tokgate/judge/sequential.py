"""Look at data more than once without more false alarms: group-sequential boundaries by alpha spending.

The boundaries are found by recursive integration (Armitage, McPherson and Rowe 1969) and given as nominal
one-sided p-values, so that they also apply to a t statistic (the significance-level approach of Jennison and
Turnbull 2000, section 4.4). One-sided and non-binding: stopping for another reason costs no error.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

FIRST_LOOK = 3
"""Launches before the first look: with fewer, Welch's interval is too wide to be of use."""

T_EXCESS = 1.3
"""How much more often than a normal one a t statistic crosses these boundaries, at most, if its first look has 2
degrees of freedom: 1.16 to 1.29 times in simulations of 6 to 10 looks at tails from 0.05 down to 0.001."""

_GRID = 401  # points of Simpson's rule, an odd number
_FAR = 9.0  # standard deviations; a normal deviate beyond them has a probability of 1e-19


Spending = Callable[[float, float], float]
"""The error spent when a fraction of the final information (above 0, at most 1) is available: all of it at 1."""


def spend_late(tail: float, fraction: float) -> float:
    """The O'Brien-Fleming type of Lan and DeMets (1983): little before the end, where a single look would spend all."""
    return float(2 * ndtr(ndtri(tail / 2) / math.sqrt(fraction)))


def spend_evenly(tail: float, fraction: float) -> float:
    """The power family of Kim and DeMets (1987), exponent 3/2: a fair part for the first looks.

    Three launches have 2 degrees of freedom. With the one part in 4,000 that `spend_late` gives them in a plan
    of 10, nothing is ever decided; with one part in 6, whatever is clear is.
    """
    return float(tail * fraction**1.5)


@lru_cache(maxsize=1024)
def nominal_tails(tail: float, fractions: tuple[float, ...], spend: Spending = spend_late) -> tuple[float, ...]:
    """The one-sided p-value to stop at, at each look, so that all looks together err with probability `tail`.

    fractions: information at each look relative to the last; they rise to 1.
    Raises ValueError: tail not in (0, 0.5), or fractions that do not rise to 1.
    """
    if not 0 < tail < 0.5:
        raise ValueError(f"a tail must be between 0 and 0.5, got {tail!r}")
    if (
        not fractions
        or fractions[-1] != 1
        or not all(a < b for a, b in zip((0.0, *fractions), fractions, strict=False))
    ):
        raise ValueError(f"information fractions must rise from above 0 to 1, got {fractions!r}")
    tails: list[float] = []
    before, position, density = (
        0.0,
        np.zeros(1),
        np.ones(1),
    )  # the walk at the last look, as weights on a grid
    for last, fraction in zip((0.0, *fractions), fractions, strict=False):
        step, total = math.sqrt(fraction - last), spend(tail, fraction)
        bound = _bound(position, density, step, crossing=total - before)
        tails.append(float(ndtr(-bound / math.sqrt(fraction))))
        position, density = _walk(position, density, step, low=-_FAR * math.sqrt(fraction), high=bound)
        before = total
    return tuple(tails)


def _bound(position: NDArray[np.float64], density: NDArray[np.float64], step: float, *, crossing: float) -> float:
    """The bound that the walk's next value exceeds with probability `crossing`."""

    def excess(bound: float) -> float:
        return float(density @ ndtr((position - bound) / step)) - crossing

    return float(brentq(excess, -_FAR, 3 * _FAR, xtol=1e-10))


def _walk(
    position: NDArray[np.float64], density: NDArray[np.float64], step: float, *, low: float, high: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights on a new grid after one more step, for the paths that did not cross `high`."""
    grid = np.linspace(low, high, _GRID)
    weights = np.full(_GRID, (high - low) / (_GRID - 1))  # Simpson's rule
    weights *= np.where(np.arange(_GRID) % 2, 4, 2) / 3
    weights[[0, -1]] /= 2
    z = (grid[:, None] - position[None, :]) / step
    return grid, weights * (np.exp(-z * z / 2) @ density) / (step * math.sqrt(2 * math.pi))


def look_tail(tail: float, *, launches: int, planned: int, baseline: float | None) -> float:
    """The p-value to decide at after `launches` of at most `planned`, with a look after each from the third on.

    baseline: its number of launches, which is information from the start, so that the first look already has
        about half of it; inf for an exact value; None for launches in pairs, each with its own reference.
    0.0 (decide nothing) before the first look.
    """
    looks = range(min(FIRST_LOOK, planned), planned + 1)
    if launches < looks[0]:
        return 0.0
    information = [1 / (1 / n + 1 / (baseline or math.inf)) for n in looks]
    fractions = tuple(part / information[-1] for part in information)
    spend = spend_late
    if baseline is None:
        spend, tail = spend_evenly, tail / (T_EXCESS if len(looks) > 1 else 1)
    return nominal_tails(tail, fractions, spend)[min(launches, planned) - looks[0]]
