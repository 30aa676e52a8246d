"""Blocks: launches of two or more arms in mirrored order, what a comparison is decided from."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from random import Random

import msgspec


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """Launches of two or more arms: each arm once in this order, then once more in the reverse order.

    values: one for each launch, as they ran.
    """

    arms: tuple[str, ...]
    values: tuple[float, ...]

    @property
    def order(self) -> tuple[str, ...]:
        """The arm of each launch."""
        return (*self.arms, *reversed(self.arms))


class Unmeasured(Exception):
    """An arm has no value, for the reason `why`: it does not start, or none of its launches was valid."""

    def __init__(self, arm: str, why: str) -> None:
        self.arm, self.why = arm, why
        super().__init__(f"{arm}: {why}")


class OutOfTime(Exception):
    """The budget is too small for another launch."""


def draw_orders(arms: Sequence[str], blocks: int, *, seed: str) -> tuple[tuple[str, ...], ...]:
    """The order of the arms in each block, drawn at random with `seed`, so that no arm is always first."""
    draw, orders = Random(seed), list(permutations(arms))
    return tuple(draw.choice(orders) for _ in range(blocks))
