"""Two runs side by side: what differs is found, and what does not is left alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.judge.compare import Pair, compare

VALUES = st.lists(st.floats(1e-3, 1e6), min_size=2, max_size=8).map(tuple)


def pair(a: tuple[float, ...], b: tuple[float, ...], metric: str = "decode_tps") -> Pair:
    return Pair(server="s", workload="w", metric=metric, a=a, b=b)


def test_which_way_is_worse_depends_on_the_metric() -> None:
    few, more = (10.0, 10.1, 9.9, 10.05), (12.0, 12.1, 11.9, 12.05)
    found = compare([pair(few, more), pair(more, few), pair(few, more, "ttft_s"), pair(few, few[::-1])])
    assert [one.finding for one in found] == ["faster", "slower", "slower", "alike"]
    assert found[0].ratio == pytest.approx(1.2, rel=1e-3)
    assert found[3].ratio == pytest.approx(1.0)
    assert found[3].within is not None
    assert 0 < found[3].within < 0.05


@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=6))
def test_finding_and_interval_agree(values: list[tuple[tuple[float, ...], ...]]) -> None:
    for one in compare([pair(a, b) for a, b in values]):
        assert one.ratio is not None
        assert one.low is not None
        assert one.high is not None
        slack = 1 + 1e-9
        assert one.low <= one.ratio * slack
        assert one.ratio <= one.high * slack
        if one.finding == "alike":
            assert one.low <= slack
            assert one.high * slack >= 1
        else:
            assert (one.low * slack >= 1) if one.finding == "faster" else (one.high <= slack)


@given(VALUES, VALUES)
def test_swapped_runs_give_the_mirror_image(a: tuple[float, ...], b: tuple[float, ...]) -> None:
    (there,), (back,) = compare([pair(a, b)]), compare([pair(b, a)])
    assert there.ratio is not None
    assert back.ratio is not None
    assert there.ratio * back.ratio == pytest.approx(1)
    mirror = {"slower": "faster", "faster": "slower", "alike": "alike"}
    assert back.finding == mirror[there.finding]


def test_false_differences_are_as_rare_as_stated() -> None:
    """1,000 pairs of runs of 12 cells, 4 launches each, CV 2 %."""
    draw = np.random.default_rng(5)
    shown = 0
    for _ in range(1000):
        logs = draw.normal(0, 0.02, (12, 2, 4))
        pairs = [pair(tuple(np.exp(one[0])), tuple(np.exp(one[1]))) for one in logs]
        shown += any(one.finding != "alike" for one in compare(pairs))
    assert shown <= 50 + 3 * math.sqrt(1000 * 0.05 * 0.95)


def test_more_pairs_need_more_evidence() -> None:
    close = pair((10.0, 10.2, 9.9, 10.1), (9.7, 9.8, 9.6, 9.9))
    quiet = pair((10.0, 10.2, 9.9, 10.1), (10.0, 10.1, 9.9, 10.2))
    assert compare([close])[0].finding == "slower"
    assert compare([close, *[quiet] * 30])[0].finding == "alike"


def test_pairs_that_cannot_be_compared() -> None:
    """A pair that cannot be compared says why, and costs the others no error."""
    good = pair((10.0, 10.2, 9.9, 10.1), (9.7, 9.8, 9.6, 9.9))
    lone, none, nought = pair((10.0,), (10.0, 11.0)), pair((), ()), pair((1.0, 2.0), (1.0, 0.0))
    found = compare([lone, none, nought, good])
    assert [one.finding for one in found] == ["unknown", "unknown", "unknown", "slower"]
    assert found[0].reason == "too few launches: 1 of A, 2 of B; at least two of each are needed"
    assert found[2].reason == "a launch of B has the value 0, so there is no ratio"
    assert found[3] == compare([good])[0]
    assert all(one.ratio is one.low is one.within is None for one in found[:3])
