"""Steps, nights and slides: found where they are, and not where nothing happened."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokgate._exceptions import ExtraMissing
from tokgate.judge.changepoint import Change, find_changes, find_steps, watch_nights


def noise(nights: int, *, cv: float = 0.01, seed: int = 0) -> np.ndarray:
    return np.exp(np.random.default_rng(seed).normal(0, cv, nights)) * 24


def kinds(changes: tuple[Change, ...]) -> list[tuple[str, int]]:
    return [(change.kind, change.index) for change in changes]


def test_a_lasting_drop_is_one_step() -> None:
    """A lasting drop is one step, dated to its first night."""
    values = noise(60)
    values[40:] *= 0.9
    (step,) = find_changes(values.tolist())
    assert (step.kind, step.index) == ("step", 40)
    assert step.ratio == pytest.approx(0.9, abs=0.01)
    assert step.before == pytest.approx(24, rel=0.01)
    assert step.p < 0.001


def test_one_outlying_night() -> None:
    """A single outlying night is reported as a night, not as a step."""
    values = noise(30)
    values[20] = 6.3  # what one campaign measured on a broken driver
    (night,) = find_changes(values.tolist())
    assert (night.kind, night.index, night.found) == ("night", 20, 20)
    assert night.after == pytest.approx(6.3)


def test_a_drop_is_reported_the_same_night() -> None:
    """The first night of a drop is reported that night."""
    values = noise(31)
    values[30] *= 0.9
    assert kinds(watch_nights(values.tolist())) == [("night", 30)]


def test_a_slide_is_told_before_it_has_gone_far() -> None:
    values = noise(120, cv=0.02)
    values[90:] *= 1 - 0.03 * np.arange(1, 31) / 30
    slides = [change for change in watch_nights(values.tolist()) if change.kind == "slide"]
    assert slides
    assert slides[0].found is not None
    assert 95 <= slides[0].found < 120
    assert slides[0].ratio < 1


def test_a_new_level_becomes_normal() -> None:
    """Nights on the new level become the normal ones."""
    values = noise(60)
    values[30:] *= 0.8
    values[50] *= 1.25  # what was normal once falls out now
    assert kinds(watch_nights(values.tolist())) == [("night", 30), ("night", 50)]


def test_a_night_on_a_short_level() -> None:
    """Few campaigns, several steps: the spread over all of them hides what fell to a third."""
    values = [684.8, 1100.0, 1107.8, 1526.3, 1529.8, 1578.3, 549.2, 549.6, 1543.3, 1541.8, 1543.0]
    assert ("night", 6) in kinds(find_changes(values))


@pytest.mark.parametrize("values", [[], [24.0], [24.0, 12.0], [24.0] * 40])
def test_too_few_or_equal_nights_tell_nothing(values: list[float]) -> None:
    assert find_changes(values) == ()


@settings(deadline=None)
@given(
    factor=st.floats(0.01, 1e4),
    seed=st.integers(0, 99),
    nights=st.lists(st.sampled_from([1.0, 1.0, 1.0, 0.9, 0.5]), min_size=1, max_size=50),
)
def test_the_unit_of_the_figures_does_not_matter(factor: float, seed: int, nights: list[float]) -> None:
    values = noise(len(nights), seed=seed) * np.array(nights)
    assert kinds(watch_nights(values.tolist())) == kinds(watch_nights((values * factor).tolist()))


@settings(deadline=None)
@given(seed=st.integers(0, 99), cut=st.integers(1, 60))
def test_a_night_is_judged_by_earlier_nights(seed: int, cut: int) -> None:
    """A night is judged only by the nights before it."""
    values = noise(60, cv=0.03, seed=seed)
    values[40:] *= 0.85
    whole = watch_nights(values.tolist())
    until = watch_nights(values[:cut].tolist())
    assert until == tuple(change for change in whole if change.found is not None and change.found < cut)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_bad_values_are_rejected(value: float) -> None:
    with pytest.raises(ValueError, match=r"value 1 is .* it must be finite and above zero"):
        find_changes([24.0, value])


def test_steps_need_otava_and_say_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "otava.analysis", None)
    with pytest.raises(ExtraMissing, match=r"Apache Otava.*pip install 'tokgate\[nightly\]'"):
        find_steps([24.0] * 10)


def test_quiet_years_are_quiet() -> None:
    """Nights and slides for the worse in ten years of one cell: about three are expected, as docs/history.md says."""
    worse = [
        change
        for seed in range(10)
        for change in watch_nights(noise(365, cv=0.02, seed=seed).tolist())
        if change.ratio < 1
    ]
    assert len(worse) <= 10
