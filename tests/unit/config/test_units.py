"""Sizes and times, as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.config.units import Duration, Size


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("64MB", 64_000_000),
        ("64MiB", 67_108_864),
        ("16GiB", 17_179_869_184),
        ("1.5 GiB", 1_610_612_736),
        ("0B", 0),
    ],
)
def test_sizes(text: str, number: int) -> None:
    assert Size.parse(text) == number


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("1m30s", 90), ("500ms", 0.5), ("2h", 7200)])
def test_durations(text: str, seconds: float) -> None:
    assert Duration.parse(text) == seconds


@pytest.mark.parametrize("text", ["16", 16, "16 gb", "GiB", "-1GiB", "1e3GiB", "", None])
def test_a_size_needs_a_known_unit(text: object) -> None:
    with pytest.raises(ValueError, match="expected a size with a unit"):
        Size.parse(text)


@pytest.mark.parametrize("text", ["30", 30, "30 s", "s", "1m 30s", "-1s", "", None])
def test_a_time_needs_a_known_unit(text: object) -> None:
    with pytest.raises(ValueError, match="expected a time with a unit"):
        Duration.parse(text)


@given(st.integers(min_value=0, max_value=2**50))
def test_sizes_round_trip(number: int) -> None:
    """A size can be parsed from its own text."""
    assert Size.parse(str(Size(number))) == number
