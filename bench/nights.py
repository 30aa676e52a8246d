"""Simulated nights: launches of servers with noise of launch and request, drift and outliers, seeded."""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec
import numpy as np
from numpy.typing import NDArray

REQUESTS = 20
OUTLIERS = 0.01  # of the requests,
SLOWER = 0.17  # each so much slower


class World(msgspec.Struct, frozen=True, kw_only=True):
    """How figures scatter. cv: between launches, and again between the requests of a launch.

    drift: how much slower the last launch of a run is than its first, evenly in between.
    drift_before: whether the baseline's run drifted too, as a machine does that warms up every night.
    night_cv: scatter between nights, which all launches of a night share; above 0 the baseline is a
    history, each of its values the mean of as many launches as tonight.
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

    baseline, tonight: shape (cells, launches), one geometric mean for each launch; fresh: (cells,), the
    launch that may be asked for; baseline_requests, tonight_requests: (cells, launches, REQUESTS).
    """

    baseline: NDArray[np.float64]
    tonight: NDArray[np.float64]
    fresh: NDArray[np.float64]
    baseline_requests: NDArray[np.float64]
    tonight_requests: NDArray[np.float64]


def nights(world: World, *, runs: int, seed: int, drops: NDArray[np.float64]) -> Iterator[Night]:
    """`runs` nights. drops: shape (cells,), by how much each cell is truly slower tonight (fraction)."""
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
        figures, rates = np.exp(request.mean(axis=-1)), np.exp(request)
        yield Night(
            baseline=figures[:, : world.baseline],
            tonight=figures[:, world.baseline : -1],
            fresh=figures[:, -1],
            baseline_requests=rates[:, : world.baseline],
            tonight_requests=rates[:, world.baseline : -1],
        )


def _drift(drift: float, launches: int) -> NDArray[np.float64]:
    return math.log1p(-drift) * np.linspace(0.0, 1.0, launches)
