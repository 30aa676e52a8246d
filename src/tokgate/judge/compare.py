"""Compare two runs: the cells that both measured, by their launches. This describes; baselines gate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from tokgate.config.metric import find_metric
from tokgate.judge.stats import LogRatio, contrast

Finding = Literal["slower", "faster", "alike", "unknown"]


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """One server x workload x metric of two runs: one gated value for each valid launch."""

    server: str
    workload: str
    metric: str
    a: tuple[float, ...]
    b: tuple[float, ...]


class PairResult(msgspec.Struct, frozen=True, kw_only=True):
    """What the launches of a pair show.

    ratio: B / A; above 1 is more of the metric, not better.
    low, high: its interval at the pair's share of the error of the whole comparison.
    reason: why nothing can be said; the others are then None.
    """

    pair: Pair
    finding: Finding
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str = ""

    @property
    def within(self) -> float | None:
        """The largest difference (fraction of A) that the interval allows, up or down."""
        return None if self.low is None or self.high is None else max(1 - self.low, self.high - 1)


def compare(pairs: Sequence[Pair], *, level: float = 0.05) -> tuple[PairResult, ...]:
    """Each pair by Welch's test on the log scale (`contrast` of independent launches), in the order given.

    level: how often, at most, two runs with nothing changed between them show any difference at all. Holm's
    step-down (1979) over the pairs that can be compared gives each its share, and its interval is drawn at
    that share: it excludes 1 exactly where the pair is called slower or faster.
    """
    read = [_ratio(pair) for pair in pairs]
    known = {at: ratio for at, ratio in enumerate(read) if isinstance(ratio, LogRatio)}
    shares: dict[int, float] = {}
    for rank, at in enumerate(sorted(known, key=lambda at: _p(known[at]))):
        share = level / (len(known) - rank)
        if _p(known[at]) > share:
            shares |= dict.fromkeys(known.keys() - shares.keys(), share)
            break
        shares[at] = share
    return tuple(
        _conclude(pair, ratio, shares[at])
        if isinstance(ratio, LogRatio)
        else PairResult(pair=pair, finding="unknown", reason=ratio)
        for at, (pair, ratio) in enumerate(zip(pairs, read, strict=True))
    )


def _ratio(pair: Pair) -> LogRatio | str:
    """B / A, or why it cannot be computed."""
    if min(len(pair.a), len(pair.b)) < 2:
        return f"too few launches: {len(pair.a)} of A, {len(pair.b)} of B; at least two of each are needed"
    for run, values in (("A", pair.a), ("B", pair.b)):
        if min(values) <= 0:
            return f"a launch of {run} has the value {min(values):g}, so there is no ratio"
    return contrast({"a": pair.a, "b": pair.b}, {"b": 1, "a": -1})


def _p(ratio: LogRatio) -> float:
    """Two-sided."""
    return 2 * min(ratio.p_below(), ratio.p_above())


def _conclude(pair: Pair, ratio: LogRatio, share: float) -> PairResult:
    low, high = ratio.interval(share / 2)
    finding: Finding = "alike"
    if _p(ratio) <= share:
        finding = "faster" if (ratio.estimate > 0) == (find_metric(pair.metric).direction == "higher") else "slower"
    return PairResult(pair=pair, finding=finding, ratio=ratio.ratio, low=low, high=high)
