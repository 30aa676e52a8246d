"""A search over simulated launches: the right image, as seldom wrong as stated, and what it says when it cannot tell."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.judge.bisect import Bisection, Run, Step, bisect, count_steps, find_middle
from tokgate.judge.blocks import Block, OutOfTime, Unmeasured

IMAGES = tuple(f"v{number}" for number in range(10))


def box(
    first_slow: int,
    *,
    drop: float = 0.10,
    cv: float = 0.02,
    drift: float = 0.0,
    seed: int = 0,
    broken: Collection[str] = (),
    room: float = math.inf,
    metric: str = "decode_tps",
) -> Run:
    """Launches of images that are slow from `first_slow` on; drift: log change of the machine a launch."""
    draw = np.random.default_rng(seed)
    count = 0

    def run(arms: tuple[str, ...]) -> Block:
        nonlocal count
        values: list[float] = []
        for image in (*arms, *reversed(arms)):
            if image in broken:
                raise Unmeasured(image, "does not start")
            if count >= room:
                raise OutOfTime
            slow = IMAGES.index(image) >= first_slow
            speed = 100 * (1 - drop if slow else 1) * math.exp(drift * count + draw.normal(0, cv))
            values.append(1 / speed if metric == "ttft_s" else speed)
            count += 1
        return Block(arms=arms, values=tuple(values))

    return run


def search(run: Run, metric: str = "decode_tps", **options: float) -> Bisection:
    return bisect(IMAGES, run, metric=metric, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("metric", ["decode_tps", "ttft_s"])
@pytest.mark.parametrize("first_slow", range(1, 10))
def test_each_place_is_found(first_slow: int, metric: str) -> None:
    told: list[Step] = []
    run = box(first_slow, drop=0.2, cv=0.005, metric=metric)
    found = bisect(IMAGES, run, metric=metric, tell=told.append)
    assert (found.outcome, found.last_fast, found.first_slow) == (
        "found",
        IMAGES[first_slow - 1],
        IMAGES[first_slow],
    )
    assert tuple(told) == found.steps
    assert len(found.steps) <= count_steps(8)
    worst = found.steps[0].ratio
    assert worst == pytest.approx(1 / 0.8 if metric == "ttft_s" else 0.8, rel=0.02)


def test_the_answer_is_seldom_wrong() -> None:
    """300 searches each; CV 2 %, a machine that loses 0.3 % with every launch."""
    for drop, least in ((0.10, 0.97), (0.06, 0.60)):
        right = wrong = 0
        for seed in range(300):
            place = 1 + seed % 9
            found = search(box(place, drop=drop, drift=-0.003, seed=seed))
            inside = IMAGES.index(found.last_fast) < place <= IMAGES.index(found.first_slow)
            right += found.outcome == "found" and inside
            wrong += found.outcome != "not_reproduced" and not inside
        assert right / 300 >= least
        assert wrong <= 300 * 0.05 + 3 * math.sqrt(300 * 0.05 * 0.95)


def test_no_slowdown_is_seldom_found() -> None:
    false = 0
    for seed in range(500):
        found = search(box(99, drift=-0.003, seed=seed))
        false += found.outcome != "not_reproduced"
        assert 0 < (found.steps[0].sees or 0) < 0.2
    assert false <= 500 * 0.05 / count_steps(8) + 3 * math.sqrt(500 * 0.0125)


def test_a_faster_bad_image_is_no_slowdown() -> None:
    found = search(box(3, drop=-0.2, cv=0.005))
    assert (found.outcome, found.steps[0].finding, len(found.steps)) == ("not_reproduced", "fast", 1)


@given(st.integers(1, 9), st.sets(st.sampled_from(IMAGES[1:-1])))
def test_images_that_do_not_start_are_skipped(first_slow: int, broken: set[str]) -> None:
    found = search(box(first_slow, drop=0.3, cv=0.002, broken=broken))
    low, high = IMAGES.index(found.last_fast), IMAGES.index(found.first_slow)
    assert low < first_slow <= high
    assert set(found.between) <= broken
    assert found.outcome == ("range" if found.between else "found")
    for step in found.steps:
        assert (step.finding == "failed") == (step.image in broken)


def test_unclear_images_end_in_a_range() -> None:
    """Halfway images are neither, and the search goes round them."""
    speeds = dict(zip(IMAGES, [100, 100, 100, *[100 * math.sqrt(0.9)] * 3, 90, 90, 90, 90], strict=True))
    draw = np.random.default_rng(4)

    def run(arms: tuple[str, ...]) -> Block:
        values = (speeds[image] * math.exp(draw.normal(0, 0.002)) for image in (*arms, *reversed(arms)))
        return Block(arms=arms, values=tuple(values))

    found = search(run)
    assert (found.outcome, found.last_fast, found.first_slow) == ("range", "v2", "v6")
    assert found.between == ("v3", "v4", "v5")
    assert {step.image for step in found.steps if step.finding == "undecided"} == {"v3", "v4", "v5"}


def test_a_spent_budget_leaves_what_is_known() -> None:
    whole = search(box(7, drop=0.2, cv=0.005))
    cut = search(box(7, drop=0.2, cv=0.005, room=sum(step.launches for step in whole.steps) - 1))
    assert (cut.outcome, cut.stopped) == ("range", "the budget was spent")
    assert IMAGES.index(cut.last_fast) < 7 <= IMAGES.index(cut.first_slow)
    nothing = search(box(7, room=3))
    assert (nothing.outcome, nothing.steps, nothing.stopped) == (
        "not_reproduced",
        (),
        "the budget was spent",
    )


def test_an_end_that_cannot_be_measured_ends_it() -> None:
    for end in ("v0", "v9"):
        with pytest.raises(Unmeasured, match=f"{end}: does not start"):
            search(box(5, broken={end}))
    later: Callable[..., Run] = box
    run = later(5, drop=0.2, cv=0.005)
    calls = 0

    def dies(arms: tuple[str, ...]) -> Block:
        nonlocal calls
        calls += 1
        if len(arms) == 3:
            raise Unmeasured("v9", "does not start any more")
        return run(arms)

    found = search(dies)
    assert (found.outcome, found.stopped) == ("range", "v9: does not start any more")
    assert calls > 1


@given(st.integers(0, 50), st.integers(1, 50), st.sets(st.integers(0, 100)))
def test_the_middle_is_inside_and_not_skipped(low: int, width: int, gone: set[int]) -> None:
    at = find_middle(low, low + width, gone)
    left = set(range(low + 1, low + width)) - gone
    assert (at is None) == (not left)
    assert at is None or at in left
