"""Simulate nights: server launches with noise between launches and requests, drift and outliers, seeded."""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec
import numpy as np
from numpy.typing import NDArray

REQUESTS = 20
OUTLIERS = 0.01  # share of the requests that are outliers
SLOWER = 0.17  # how much slower an outlier is


class World(msgspec.Struct, frozen=True, kw_only=True):
    """How values vary.

    cv: coefficient of variation between launches, and the same again between the requests of a launch.
    drift: how much slower the last launch of a run is than the first (fraction), evenly in between.
    drift_before: whether the baseline's run drifted too, like a machine that warms up every night.
    night_cv: variation between nights, shared by all launches of a night; above 0 the baseline is a history, and each
        of its values is the mean of as many launches as tonight.
    cells: cells of a run.
    launches: launches of tonight.
    baseline: launches (or nights) of the baseline.
    """

    cv: float
    drift: float = 0.0
    drift_before: bool = True
    night_cv: float = 0.0
    cells: int = 20
    launches: int = 5
    baseline: int = 10


class Night(msgspec.Struct, frozen=True, kw_only=True):
    """Rates (about 1) of one run and its baseline.

    baseline, tonight: shape (cells, launches), one geometric mean per launch.
    fresh: shape (cells,), the confirming launch.
    baseline_requests, tonight_requests: shape (cells, launches, REQUESTS).
    """

    baseline: NDArray[np.float64]
    tonight: NDArray[np.float64]
    fresh: NDArray[np.float64]
    baseline_requests: NDArray[np.float64]
    tonight_requests: NDArray[np.float64]


def nights(world: World, *, runs: int, seed: int, drops: NDArray[np.float64]) -> Iterator[Night]:
    """Yield `runs` nights.

    runs: number of nights.
    seed: seed of the random numbers.
    drops: shape (cells,), how much each cell is slower tonight (fraction).
    """
    rng = np.random.default_rng(seed)
    steps_before = _drift(world.drift if world.drift_before else 0.0, world.baseline)
    steps = np.concatenate([steps_before, _drift(world.drift, world.launches), [math.log1p(-world.drift)]])
    shape = (world.cells, len(steps))
    change = np.zeros(shape)
    change[:, world.baseline :] = np.log1p(-drops)[:, None]
    scatter = np.full(len(steps), world.cv)
    if world.night_cv:
        scatter[: world.baseline] /= math.sqrt(world.launches)
    for _ in range(runs):
        launch = rng.normal(0.0, scatter, shape) + steps + change
        if world.night_cv:
            launch[:, : world.baseline] += rng.normal(0.0, world.night_cv, (world.cells, world.baseline))
            launch[:, world.baseline :] += rng.normal(0.0, world.night_cv, (world.cells, 1))
        request = rng.normal(0.0, scatter[:, None], (*shape, REQUESTS)) + launch[..., None]
        request += math.log1p(-SLOWER) * (rng.random(request.shape) < OUTLIERS)
        means, rates = np.exp(request.mean(axis=-1)), np.exp(request)
        yield Night(
            baseline=means[:, : world.baseline],
            tonight=means[:, world.baseline : -1],
            fresh=means[:, -1],
            baseline_requests=rates[:, : world.baseline],
            tonight_requests=rates[:, world.baseline : -1],
        )


def _drift(drift: float, launches: int) -> NDArray[np.float64]:
    return math.log1p(-drift) * np.linspace(0.0, 1.0, launches)
