"""Bisect: which of a row of images first lost what the last one lost, from launches of a few of them.

First the two ends are compared in blocks A B B A. Then the image in the middle of what is left is measured
in mirrored blocks of three, together with fresh launches of both ends, and is slow when it is nearer to the
bad end than to the good one, on the log scale. Each of these tests is looked at after every block, with
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
BLOCKS = 4

Finding = Literal["fast", "slow", "undecided", "failed"]
Run = Callable[[tuple[str, ...]], Block]
"""Measures one block of these images, each on new launches; raises `Unmeasured`, `OutOfTime`."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one image.

    ratio: its metric over that of the good image in the same blocks, above 1 is more of the metric; low,
    high: the interval of that at the look that decided. good, own: geometric means over the blocks' launches.
    sees: the slowdown (fraction of speed) that all its blocks would have shown at 80 % power. launches: of
    all images in its blocks. why: what kept it from being measured.
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
    """What a search found.

    images: the good one first, the bad one last. steps: in the order they were made, the bad image first.
    last_fast, first_slow: the narrowest pair that is known; between: what could not be told apart inside it.
    stopped: why the search ended before its end, empty if it did not.
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

    It stands at one place in the row when images before it are fast and those from it on slow; of several
    losses, it finds one across which the middle is passed. An image that cannot be measured or told is gone
    round, and if it matters the answer is a range. level: how often, at most, the answer is wrong, a slowdown
    where there is none included; each step has what is left of it, over the steps that may follow. It holds
    where the scatter of a launch is the same for all images. blocks: of one step, at most. tell: told each step.
    Raises Unmeasured of the ends, before anything is known; ValueError: a figure that is not above zero.
    """
    return _Search(tuple(images), run, metric, level, blocks, tell).search()


def most_steps(between: int) -> int:
    """Comparisons until one image is left, the two ends' included, if each decides."""
    return 1 + math.ceil(math.log2(between + 1))


def middle(low: int, high: int, gone_round: set[int]) -> int | None:
    """The place nearest to the middle of the places between, those gone round left out; None if none is left."""
    left = [at for at in range(low + 1, high) if at not in gone_round]
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
        gone_round: set[int] = set()
        left = self.level
        try:
            share = left / most_steps(high - 1)
            if self._step(self.bad, share) == "slow":
                while (at := middle(low, high, gone_round)) is not None:
                    left -= share
                    candidates = high - low - 1 - sum(low < one < high for one in gone_round)
                    share = left / (most_steps(candidates) - 1)
                    match self._step(self.images[at], share):
                        case "fast":
                            low = at
                        case "slow":
                            high = at
                        case _:
                            gone_round.add(at)
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
            # Another arm goes first each time, so that a drift that bends favours none.
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
        [
            value
            for block in blocks
            for name, value in zip(block.order, block.values, strict=True)
            if name == arm
        ]
    )
