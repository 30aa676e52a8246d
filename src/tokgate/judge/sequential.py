"""Look at data more than once without more false alarms: group-sequential boundaries by alpha spending.

The O'Brien-Fleming-type spending function of Lan and DeMets (1983), with the boundaries found by
recursive integration (Armitage, McPherson and Rowe 1969). They are given as nominal one-sided p-values,
so that they also apply to a t statistic (the significance-level approach of Jennison and Turnbull 2000,
section 4.4). One-sided and non-binding: stopping for another reason costs no error.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

FIRST_LOOK = 3
"""Launches before the first look: with fewer, Welch's interval is too wide to be of use."""

_GRID = 401  # points of Simpson's rule, an odd number
_FAR = 9.0  # standard deviations; a normal deviate beyond them has a probability of 1e-19


def spent(tail: float, fraction: float) -> float:
    """Error spent when `fraction` (0 < fraction <= 1) of the final information is available; `tail` at 1."""
    return float(2 * ndtr(ndtri(tail / 2) / math.sqrt(fraction)))


@lru_cache(maxsize=1024)
def nominal_tails(tail: float, fractions: tuple[float, ...]) -> tuple[float, ...]:
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
        step, spend = math.sqrt(fraction - last), spent(tail, fraction)
        bound = _bound(position, density, step, crossing=spend - before)
        tails.append(float(ndtr(-bound / math.sqrt(fraction))))
        position, density = _walk(position, density, step, low=-_FAR * math.sqrt(fraction), high=bound)
        before = spend
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


def look_tail(tail: float, *, launches: int, planned: int, baseline: float) -> float:
    """The p-value to decide at after `launches` of at most `planned`, with a look after each from the third on.

    baseline: its number of launches, which is information from the start; inf for an exact value.
    0.0 (decide nothing) before the first look.
    """
    looks = range(min(FIRST_LOOK, planned), planned + 1)
    if launches < looks[0]:
        return 0.0
    information = [1 / (1 / n + 1 / baseline) for n in looks]
    fractions = tuple(part / information[-1] for part in information)
    return nominal_tails(tail, fractions)[min(launches, planned) - looks[0]]
