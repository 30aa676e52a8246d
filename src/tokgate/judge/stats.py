"""Ratios of two sets of launches, with their uncertainty, on the log scale.

Values are one gated value for each launch (or night), in natural units, finite and above zero; every
estimator raises ValueError otherwise. Too few values for a standard error have an infinite one, and
therefore an interval that excludes nothing. Planning is in `power`, looking more than once in `sequential`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec
from scipy.special import stdtr, stdtrit

from tokgate.judge.blocks import Block


class LogRatio(msgspec.Struct, frozen=True, kw_only=True):
    """The estimated logarithm of a ratio. se: its standard error; df: degrees of freedom of that."""

    estimate: float
    se: float
    df: float

    @property
    def ratio(self) -> float:
        return math.exp(self.estimate)

    def interval(self, tail: float) -> tuple[float, float]:
        """The ratio's t interval with `tail` (0 <= tail < 0.5) on each side; (0, inf) at 0, or if se is infinite."""
        if not 0 <= tail < 0.5:
            raise ValueError(f"a tail must be between 0 and 0.5, got {tail!r}")
        if tail == 0 or math.isinf(self.se):
            return 0.0, math.inf
        half = -float(stdtrit(self.df, tail)) * self.se
        return math.exp(self.estimate - half), _exp(self.estimate + half)

    def p_below(self, bound: float = 0.0) -> float:
        """One-sided p-value against "the log ratio is at least `bound`"; small means a drop."""
        return self._p(self.estimate - bound)

    def p_above(self, bound: float = 0.0) -> float:
        """One-sided p-value against "the log ratio is at most `bound`"; small means a rise."""
        return self._p(bound - self.estimate)

    def _p(self, excess: float) -> float:
        if math.isinf(self.se):
            return 1.0
        if self.se == 0:
            return 0.0 if excess < 0 else 1.0
        return float(stdtr(self.df, excess / self.se))


def log_moments(values: Sequence[float]) -> tuple[float, float]:
    """Mean and variance (n - 1) of the logarithms; the variance of one value is infinite.

    Raises ValueError: empty, or a value that is not finite and above zero (gives its index).
    """
    if not values:
        raise ValueError("no values: at least one launch is needed")
    for index, value in enumerate(values):
        if not 0 < value < math.inf:
            raise ValueError(f"value {index} is {value!r}; it must be finite and above zero")
    logs = [math.log(value) for value in values]
    mean = sum(logs) / len(logs)
    if len(logs) == 1:
        return mean, math.inf
    return mean, sum([(log - mean) ** 2 for log in logs]) / (len(logs) - 1)


def scatter(groups: Sequence[Sequence[float]]) -> float | None:
    """The coefficient of variation within groups of values, pooled on the log scale; None if it is unknown or zero.

    Groups of one value are ignored. Raises ValueError as `log_moments`.
    """
    variances = [(len(group) - 1, log_moments(group)[1]) for group in groups if len(group) > 1]
    df = sum(count for count, _ in variances)
    variance = math.fsum(count * of_group for count, of_group in variances) / df if df else 0.0
    return math.sqrt(math.expm1(variance)) or None


def welch(current: Sequence[float], baseline: Sequence[float]) -> LogRatio:
    """current / baseline of independent launches with unequal variances (Welch 1947)."""
    return contrast({"current": current, "baseline": baseline}, {"current": 1, "baseline": -1})


def mean_error(*means: tuple[float, int]) -> tuple[float, float]:
    """Standard error and Welch-Satterthwaite degrees of freedom of a sum or difference of independent means.

    means: the variance of one value and the number of values of each mean.

    The degrees of freedom are capped at what samples that are all of the smallest size would have, for two
    means 2 (min(n) - 1). Without the cap a small sample that happens to scatter little is trusted too much:
    3 launches against 10 reject 4 times as often as they should at a tail of 0.0005, 5 against 20 twice as
    often; with it 0.3 and 0.9 times. It costs 5 against 10 less than 0.1 % of power.
    """
    parts = [variance / n for variance, n in means]
    total, cap = sum(parts), float(len(means) * (min(n for _, n in means) - 1))
    if math.isinf(total) or cap == 0:
        return math.inf, 1.0
    if total == 0:
        return 0.0, cap
    return math.sqrt(total), min(
        cap, total**2 / sum(part**2 / (n - 1) for part, (_, n) in zip(parts, means, strict=True))
    )


def against_history(current: Sequence[float], nights: Sequence[float]) -> LogRatio:
    """Tonight / the nights before, as one more night of the same process (t prediction interval).

    Tonight's value is the geometric mean of `current`; `nights` has one such value for each night.
    """
    mean_c, _ = log_moments(current)
    mean_h, var_h = log_moments(nights)
    return LogRatio(
        estimate=mean_c - mean_h,
        se=math.sqrt(var_h * (1 + 1 / len(nights))),
        df=float(max(len(nights) - 1, 1)),
    )


def against_figure(current: Sequence[float], figure: float) -> LogRatio:
    """current / one value taken as exact (one-sample t)."""
    mean_c, var_c = log_moments(current)
    mean_f, _ = log_moments((figure,))
    return LogRatio(estimate=mean_c - mean_f, se=math.sqrt(var_c / len(current)), df=float(max(len(current) - 1, 1)))


def against_pairs(current: Sequence[float], beside: Sequence[float]) -> LogRatio:
    """current / beside of launches that ran in pairs, whose ratios are the replicates (paired t).

    Raises ValueError: not as many of both, or as `log_moments`.
    """
    for values in (current, beside):
        log_moments(values)
    if len(current) != len(beside):
        raise ValueError(f"launches in pairs must be as many on both sides, got {len(current)} and {len(beside)}")
    return _mean_effect([math.log(a / b) for a, b in zip(current, beside, strict=True)])


def contrast(
    launches: Sequence[Block] | Mapping[str, Sequence[float]],
    weights: Mapping[str, float],
    *,
    beside: Sequence[Block] = (),
) -> LogRatio:
    """The weighted sum of the arms' log values: `{"a": -1, "b": 1}` is the log ratio B / A.

    launches: blocks of one design, or, by arm, independent launches that ran at any time.
    weights: by arm, with the sum 0.
    beside: other blocks of that design on the same machine, whose residuals inform about the same scatter of a
        launch; arms that are alive together leave no residuals, so they add nothing.

    Arms that are alive together: each block (launch pair) gives one value of the contrast, and k of them leave
    k - 1 degrees of freedom (paired t for two arms).
    Blocks in mirrored order: any linear drift within a block is removed. Least squares of log value = level of the block +
    slope of the block x position + effect of the arm. In a mirrored order effects are orthogonal to level and
    slope: a block of n arms gives the contrast of its arms' means, and n - 1 residuals, what is left of the
    differences within its pairs after one slope. k blocks leave k (n - 1) + k - 1 degrees of freedom: 2k - 1
    for two arms (A B B A).
    Independent launches: each arm has its own variance (Welch). For two arms this agrees with
    scipy.stats.ttest_ind(log(b), log(a), equal_var=False) except for the cap on the degrees of freedom
    (`mean_error`).

    Raises ValueError: without blocks, blocks of both designs, or as `log_moments`.
    """
    if isinstance(launches, Mapping):
        return _contrast_means(launches, weights)
    blocks = launches
    if not blocks:
        raise ValueError("no blocks: at least one complete A B B A, or one launch pair, is needed")
    if len({block.design for block in (*blocks, *beside)}) > 1:
        raise ValueError("blocks in mirrored order and launch pairs have different errors: compare within one design")
    if blocks[0].design == "duet":
        return _mean_effect([_effect(block, weights) for block in blocks])
    unit = sum(weight**2 for weight in weights.values()) / 2  # variance of an effect, in variances of a launch
    effects = [_effect(block, weights) for block in blocks]
    mean = math.fsum(effects) / len(effects)
    residuals = [_residual(block) for block in (*blocks, *beside)]
    squares = math.fsum([*residuals, *((effect - mean) ** 2 / unit for effect in effects)])
    df = sum(len(block.arms) - 1 for block in (*blocks, *beside)) + len(effects) - 1
    return LogRatio(estimate=mean, se=math.sqrt(unit * squares / df / len(effects)), df=float(df))


def _contrast_means(groups: Mapping[str, Sequence[float]], weights: Mapping[str, float]) -> LogRatio:
    moments = {arm: log_moments(groups[arm]) for arm in weights}
    se, df = mean_error(*((weights[arm] ** 2 * moments[arm][1], len(groups[arm])) for arm in weights))
    return LogRatio(estimate=sum(weights[arm] * moments[arm][0] for arm in weights), se=se, df=df)


def _mean_effect(effects: Sequence[float]) -> LogRatio:
    """The mean of independent effects with its error: infinite for one."""
    count, mean = len(effects), math.fsum(effects) / len(effects)
    if count == 1:
        return LogRatio(estimate=mean, se=math.inf, df=1.0)
    variance = math.fsum((effect - mean) ** 2 for effect in effects) / (count - 1)
    return LogRatio(estimate=mean, se=math.sqrt(variance / count), df=float(count - 1))


def _effect(block: Block, weights: Mapping[str, float]) -> float:
    log_moments(block.values)
    pairs = zip(block.values, block.values if block.design == "duet" else reversed(block.values), strict=True)
    means = {arm: math.log(a * b) / 2 for arm, (a, b) in zip(block.arms, pairs, strict=False)}
    return math.fsum(weight * means[arm] for arm, weight in weights.items())


def _residual(block: Block) -> float:
    """Sum of squares, in variances of one launch, of the pairs' differences that no slope explains."""
    pairs = list(zip(block.values, reversed(block.values), strict=True))[: len(block.arms)]
    apart = [(len(block.values) - 1 - 2 * at, math.log(b / a)) for at, (a, b) in enumerate(pairs)]
    slope = sum(steps * rise for steps, rise in apart) / sum(steps**2 for steps, _ in apart)
    return math.fsum((rise - steps * slope) ** 2 for steps, rise in apart) / 2


def _exp(x: float) -> float:
    return math.exp(x) if x < 700 else math.inf
