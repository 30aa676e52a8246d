"""Bisect: find the first image of a sequence that lost what the last one lost, by launching a few of them.

First the two ends are compared in blocks A B B A. Then the image in the middle of the remaining ones is
measured in mirrored blocks of three, together with new launches of both ends. It is slow when it is nearer to
the bad end than to the good one, on the log scale. Each of these tests is looked at after every block, with
boundaries by alpha spending (`sequential`), and ends undecided at its limit of blocks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from tokgate.config.metric import find_metric
from tokgate.judge.blocks import Block, OutOfTime, Unmeasured
from tokgate.judge.power import detectable_log
from tokgate.judge.sequential import nominal_tails
from tokgate.judge.stats import contrast
from tokgate.measure.metrics import compute_geometric_mean

LEVEL = 0.05
"""How often, at most, the answer is wrong: what is usual for an answer that a person then checks."""

BLOCKS = 4
"""Blocks of one step, at most: with 2 % scatter, four see a slowdown of 6 % in six of ten searches."""

Finding = Literal["fast", "slow", "undecided", "failed"]
Run = Callable[[tuple[str, ...]], Block]
"""Measures one block of these images, each on new launches; raises `Unmeasured`, `OutOfTime`."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about one image.

    launches: of all images in its blocks.
    ratio: its metric over that of the good image in the same blocks; above 1 is more of the metric.
    low, high: the interval of the ratio at the look that decided.
    good, own: geometric means over the launches of the good image and of this one.
    sees: the slowdown (fraction of speed) that all its blocks would detect at 80 % power.
    why: the reason why it could not be measured.
    """

    image: str
    finding: Finding
    launches: int = 0
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    good: float | None = None
    own: float | None = None
    sees: float | None = None
    why: str = ""


class Bisection(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a search.

    images: the good one first, the bad one last.
    level: how often, at most, the result is wrong.
    steps: in the order they were made, the bad image first.
    last_fast, first_slow: the narrowest pair that is known.
    between: the images inside that pair, none of which could be classified.
    stopped: why the search ended early; empty if it did not.
    """

    images: tuple[str, ...]
    metric: str
    level: float
    steps: tuple[Step, ...]
    last_fast: str
    first_slow: str
    between: tuple[str, ...] = ()
    stopped: str = ""

    @property
    def outcome(self) -> Literal["found", "range", "not_reproduced"]:
        if not self.steps or self.steps[0].finding != "slow":
            return "not_reproduced"
        return "range" if self.between else "found"


def bisect(
    images: Sequence[str],
    run: Run,
    *,
    metric: str,
    level: float = LEVEL,
    blocks: int = BLOCKS,
    tell: Callable[[Step], None] = lambda step: None,
) -> Bisection:
    """The first image at which at least half of what the last lost against the first is gone (log scale).

    There is one such image when all images before it are fast and all from it on are slow; of several losses,
    the search finds one that crosses the middle. An image that cannot be measured or classified is skipped, and
    if it matters the result is a range.

    run: measures a block.
    level: how often, at most, the result is wrong, including a slowdown where there is none; each step gets
        what is left of it, divided by the steps that may follow. This holds when the scatter between launches
        is the same for all images.
    blocks: of one step, at most.
    tell: called with each step.
    Raises Unmeasured: an end cannot be measured, before anything is known. ValueError: a value is not above zero.
    """
    return _Search(tuple(images), run, metric, level, blocks, tell).search()


def count_steps(between: int) -> int:
    """Comparisons until one image is left, with that of the two ends, if each decides."""
    return 1 + math.ceil(math.log2(between + 1))


def find_middle(low: int, high: int, skipped: set[int]) -> int | None:
    """The place between `low` and `high` that is nearest to the middle and not skipped; None if none is left."""
    left = [at for at in range(low + 1, high) if at not in skipped]
    return min(left, key=lambda at: abs(2 * at - low - high), default=None)


class _Search:
    def __init__(
        self,
        images: tuple[str, ...],
        run: Run,
        metric: str,
        level: float,
        blocks: int,
        tell: Callable[[Step], None],
    ) -> None:
        self.images, self.run, self.tell = images, run, tell
        self.metric, self.level, self.blocks = metric, level, blocks
        self.sign = 1 if find_metric(metric).direction == "higher" else -1
        self.good, self.bad = images[0], images[-1]
        self.done: list[Block] = []
        self.steps: list[Step] = []

    def search(self) -> Bisection:
        low, high, stopped = 0, len(self.images) - 1, ""
        skipped: set[int] = set()
        left = self.level
        try:
            share = left / count_steps(high - 1)
            if self._step(self.bad, share) == "slow":
                while (at := find_middle(low, high, skipped)) is not None:
                    left -= share
                    candidates = high - low - 1 - sum(low < place < high for place in skipped)
                    share = left / (count_steps(candidates) - 1)
                    match self._step(self.images[at], share):
                        case "fast":
                            low = at
                        case "slow":
                            high = at
                        case _:
                            skipped.add(at)
        except OutOfTime:
            stopped = "the budget was spent"
        except Unmeasured as error:
            if not self.steps:
                raise
            stopped = str(error)
        return Bisection(
            images=self.images,
            metric=self.metric,
            level=self.level,
            steps=tuple(self.steps),
            last_fast=self.images[low],
            first_slow=self.images[high],
            between=self.images[low + 1 : high],
            stopped=stopped,
        )

    def _step(self, image: str, tail: float) -> Finding:
        """Compare an image with the ends (the bad one with the good one alone) until it is decided."""
        arms = tuple(dict.fromkeys((self.good, image, self.bad)))
        mine: list[Block] = []
        looks = nominal_tails(tail, tuple((n + 1) / self.blocks for n in range(self.blocks)))
        step = Step(image=image, finding="undecided")
        for number, look in enumerate(looks):
            # Another arm goes first each time, so that a drift that is not linear favors none.
            order = arms[number % len(arms) :] + arms[: number % len(arms)]
            try:
                mine.append(self.run(order))
            except Unmeasured as error:
                if error.arm != image or image == self.bad:
                    raise
                step = msgspec.structs.replace(step, finding="failed", why=error.why)
                break
            step = self._look(image, mine, look, last=looks[-1])
            if step.finding != "undecided":
                break
        self.done += mine
        self.steps.append(step)
        self.tell(step)
        return step.finding

    def _look(self, image: str, mine: Sequence[Block], tail: float, *, last: float) -> Step:
        weights = dict.fromkeys((self.good, self.bad), -0.5) | {image: 1.0}
        if image == self.bad:
            weights = {self.good: -1.0, self.bad: 1.0}
        against = contrast(mine, weights, beside=self.done)
        worse, better = against.p_below(), against.p_above()
        if self.sign < 0:
            worse, better = better, worse
        finding: Finding = "slow" if worse <= tail else "fast" if better <= tail else "undecided"
        ratio = contrast(mine, {self.good: -1.0, image: 1.0}, beside=self.done)
        low, high = ratio.interval(tail)
        all_blocks = ratio.se * math.sqrt(len(mine) / self.blocks)
        return Step(
            image=image,
            finding=finding,
            launches=sum(len(block.values) for block in mine),
            ratio=ratio.ratio,
            low=low,
            high=high,
            good=_mean(mine, self.good),
            own=_mean(mine, image),
            sees=-math.expm1(-detectable_log(all_blocks, ratio.df, last)),
        )


def _mean(blocks: Sequence[Block], arm: str) -> float | None:
    """Over an arm's launches."""
    return compute_geometric_mean(
        [value for block in blocks for name, value in zip(block.order, block.values, strict=True) if name == arm]
    )
