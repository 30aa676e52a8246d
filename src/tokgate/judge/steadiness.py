"""Steadiness: how much a machine's speed scatters, and which drop a stored baseline could detect on it. Pure.

Two kinds of scatter: between the launches of one run, and between runs, which more launches do not average out. A
stored baseline is another run, so it suffers from both; two servers compared within one run suffer from the first only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from tokgate.config.metric import find_metric
from tokgate.config.words import format_count, format_percent
from tokgate.judge.gate import SCREEN
from tokgate.judge.plan import BASELINE_LAUNCHES
from tokgate.judge.power import gate_drop
from tokgate.judge.stats import log_moments, mean_error

METRIC = "decode_tps"
"""The metric whose scatter is judged: every workload gates it, and no other metric varies less."""

LAUNCHES = 5
"""Launches of a run by default."""


class Steadiness(msgspec.Struct, frozen=True, kw_only=True):
    """How steady a machine is.

    launches: number of values it was computed from.
    runs: number of runs they belong to.
    launch_cv: scatter between the launches of one run, a fraction.
    run_cv: scatter between runs beyond that, a fraction; None with fewer than three runs of any cell.
    drop: the smallest drop that 5 launches detect in 8 of 10 cases against a stored baseline of 10, a fraction; 1 if
        only a complete stop would be detected.
    """

    launches: int
    runs: int
    launch_cv: float
    run_cv: float | None
    drop: float

    @property
    def is_steady(self) -> bool:
        """Whether a stored baseline detects the drop that the gate promises to detect."""
        return self.drop <= find_metric(METRIC).promise


def assess_steadiness(
    cells: Sequence[Sequence[Sequence[float]]], *, family: int, level: float = 0.01
) -> Steadiness | None:
    """The steadiness that the values of earlier runs show; None without a run of two launches.

    cells: of each cell, for each run, one value for each launch.
    family: number of cells that share the error of a run.
    level: how often, at most, an unchanged run may fail.

    Launches: the variance of log values within runs, pooled. Runs: the variance of the runs' means, pooled over cells,
    less what the launches contribute (one-way analysis of variance), not below zero.
    """
    runs = [run for cell in cells for run in cell]
    within = _pool([(len(run) - 1, log_moments(run)[1]) for run in runs if len(run) > 1])
    if within is None:
        return None
    between = _pool([_run_moments(cell, within) for cell in cells if len(cell) >= _LEAST_RUNS])

    def error(launches: int) -> tuple[float, float]:
        se, df = mean_error((within, launches), (within, BASELINE_LAUNCHES))
        # Tonight and the baseline's night each add the scatter between runs once.
        return math.hypot(se, math.sqrt(2 * max(between or 0.0, 0.0))), df

    share = level / family
    drop = gate_drop(
        error,
        LAUNCHES,
        screen=SCREEN * share,
        share=share,
        limit=0.0,
        tolerance=find_metric(METRIC).tolerance,
    )
    return Steadiness(
        launches=sum(map(len, runs)),
        runs=max(map(len, cells)),
        launch_cv=_cv(within),
        run_cv=None if between is None else _cv(max(between, 0.0)),
        drop=1.0 if drop is None else drop,
    )


_LEAST_RUNS = 3
"""Runs of a cell that show a scatter between runs; two differ by chance too often."""


def _run_moments(cell: Sequence[Sequence[float]], within: float) -> tuple[int, float]:
    """Degrees of freedom and variance of the true means of a cell's runs; the variance may be below zero."""
    means = [log_moments(run)[0] for run in cell]
    center = math.fsum(means) / len(means)
    spread = math.fsum((mean - center) ** 2 for mean in means) / (len(means) - 1)
    return len(means) - 1, spread - within * math.fsum(1 / len(run) for run in cell) / len(cell)


def _pool(variances: Sequence[tuple[int, float]]) -> float | None:
    """The mean variance, weighted by degrees of freedom; None without any."""
    df = sum(count for count, _ in variances)
    return math.fsum(count * variance for count, variance in variances) / df if df else None


def _cv(variance: float) -> float:
    """The coefficient of variation of values whose logarithms have this variance."""
    return math.sqrt(math.expm1(variance))


def describe_steadiness(steadiness: Steadiness) -> str:
    """One line: the scatter, the drop that a stored baseline detects, and whether to compare a pair instead."""
    scatter = f"launches scatter by {format_percent(steadiness.launch_cv)}"
    if steadiness.run_cv is not None:
        scatter += f" within a run and runs by {format_percent(steadiness.run_cv)} more"
    if steadiness.drop >= 1:
        detects = "a stored baseline detects no drop"
    else:
        detects = f"a stored baseline detects drops from {format_percent(steadiness.drop)}"
    advice = "which is enough" if steadiness.is_steady else "use --tokgate-against for smaller ones"
    return f"{scatter} here ({format_count(steadiness.runs, 'run')}); {detects}; {advice}"
