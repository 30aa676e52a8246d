"""Blocks: launches of two or more arms, mirrored or alive together; what a comparison is decided from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import permutations
from random import Random
from statistics import median
from typing import Literal

import msgspec

Design = Literal["duet", "blocks"]
"""How arms are compared: alive together with requests in turn, or one alive at a time in mirrored order."""


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """Launches of two or more arms, in either design.

    arms: in the order of their first launches.
    values: one for each launch. In mirrored order (A B B A) each arm has two, as they ran; of arms that were
        alive together (a launch pair) each has one, and only the ratios of these mean anything (`pair_rounds`).
    """

    arms: tuple[str, ...]
    values: tuple[float, ...]

    @property
    def design(self) -> Design:
        return "duet" if len(self.values) == len(self.arms) else "blocks"

    @property
    def order(self) -> tuple[str, ...]:
        """The arm of each launch."""
        return self.arms if self.design == "duet" else (*self.arms, *reversed(self.arms))


class Unmeasured(Exception):
    """An arm has no value, for the reason `why`: it does not start, or none of its launches was valid."""

    def __init__(self, arm: str, why: str) -> None:
        self.arm, self.why = arm, why
        super().__init__(f"{arm}: {why}")


class OutOfTime(Exception):
    """The budget is too small for another launch."""


def pair_rounds(rounds: Mapping[str, Sequence[float]], order: Sequence[str]) -> Block:
    """One launch of each arm, all alive together, from the rounds in which they took turns.

    rounds: by arm, its value in each round, in natural units.
    order: of the arms.

    What the machine does to all arms of a round cancels: an arm's log value is the mean of all log values plus
    the median over the rounds of what sets the arm apart from the mean of its round. The log ratio of two arms
    is thus the median of their log ratios; with three or more arms it is close to that. The median leaves out
    rounds in which something disturbed only one arm.

    Raises ValueError: other arms than in `order`, no rounds, arms with different numbers of rounds, or a value
    that is not finite and above zero.
    """
    if sorted(rounds) != sorted(order):
        raise ValueError(f"the rounds are of {sorted(rounds)}, expected those of {sorted(order)}")
    counts = {arm: len(rounds[arm]) for arm in order}
    if len(set(counts.values())) != 1 or 0 in counts.values():
        raise ValueError(f"each arm needs one value in every round, got {counts}")
    for arm in order:
        for index, value in enumerate(rounds[arm]):
            if not 0 < value < math.inf:
                raise ValueError(f"round {index} of {arm} is {value!r}; it must be finite and above zero")
    logs = [[math.log(value) for value in values] for values in zip(*(rounds[arm] for arm in order), strict=True)]
    levels = [math.fsum(values) / len(values) for values in logs]
    level = math.fsum(levels) / len(levels)
    apart = [median(values[at] - mean for values, mean in zip(logs, levels, strict=True)) for at in range(len(order))]
    return Block(arms=tuple(order), values=tuple(math.exp(level + own) for own in apart))


def draw_orders(arms: Sequence[str], blocks: int, *, seed: str) -> tuple[tuple[str, ...], ...]:
    """The order of the arms in each block, drawn at random with `seed`, so that no arm is always first."""
    draw, orders = Random(seed), list(permutations(arms))
    return tuple(draw.choice(orders) for _ in range(blocks))
