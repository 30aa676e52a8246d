"""Each kind of number is written in one way."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.config.units import Duration
from tokgate.config.words import (
    format_age,
    format_change,
    format_count,
    format_difference,
    format_duration,
    format_figure,
    format_interval,
    format_level,
    format_number,
    format_p,
    format_percent,
    format_ratio,
    format_size,
    format_time,
)


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("decode_tps", 24.0, "24.00 tok/s"),
        ("decode_tps", 999.96, "1000 tok/s"),
        ("prefill_tps", 1597.4, "1597 tok/s"),
        ("prefill_tps", 21234.5, "21234 tok/s"),
        ("ttft_s", 0.04567, "45.67 ms"),
        ("ttft_s", 0.1234, "123.4 ms"),
        ("ttft_s", 12.345, "12.35 s"),
        ("goodput_rps", 1.5, "1.500 req/s"),
        ("effective_GBps", 205.0, "205.0 GB/s"),
        ("tokens_per_joule", 0.5, "0.5000 tok/J"),
        ("score", 3.0, "3.000"),
        ("score", None, "–"),
    ],
)
def test_figures(metric: str, value: float | None, text: str) -> None:
    """Four digits with the unit, short times in milliseconds, never an exponent for a large value."""
    assert format_figure(metric, value) == text


@pytest.mark.parametrize(
    ("fraction", "text"),
    [
        (0, "0 %"),
        (0.12, "12 %"),
        (0.0567, "5.7 %"),
        (0.0085, "0.85 %"),
        (1e-7, "< 0.01 %"),
        (1.5, "150 %"),
        (-0.02, "-2 %"),
    ],
)
def test_percentages(fraction: float, text: str) -> None:
    assert format_percent(fraction) == text


def test_changes_have_a_sign() -> None:
    assert [format_change(by) for by in (0.057, -0.12, 0.0, 1e-5)] == ["+5.7 %", "−12 %", "0 %", "< 0.01 %"]


def test_numbers_without_trailing_zeros() -> None:
    assert [format_number(n) for n in (256.0, 59.4, 0.05, 1000.0, 0)] == ["256", "59.4", "0.05", "1000", "0"]


def test_ratios_and_intervals() -> None:
    """An interval that no table can show, because two launches do not bound it, is unbounded."""
    assert (format_ratio(0.9156), format_ratio(None)) == ("0.916", "–")
    assert format_interval(0.9, 1.0431) == "0.900–1.043"
    assert format_interval(None, 1.0) == "–"
    assert format_interval(0.0, math.inf) == "unbounded"
    assert format_interval(1e-13, 274134338947.724) == "unbounded"


def test_levels() -> None:
    assert [format_level(error) for error in (0.05, 0.01, 0.002)] == ["95 %", "99 %", "99.8 %"]


def test_p_values() -> None:
    assert (format_p(0.0031), format_p(1e-12)) == ("p 0.003", "p < 1e-09")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.84, "0.8s"), (4.0, "4s"), (9.96, "10s"), (42, "42s"), (120, "2m"), (754, "12m34s"), (7500, "2h05m")],
)
def test_durations(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.floats(0.1, 1e6))
def test_durations_can_be_typed_back(seconds: float) -> None:
    """What is shown is accepted by options and YAML files."""
    assert Duration.parse(format_duration(seconds)) == pytest.approx(seconds, rel=0.5)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (8_550_000_000, "8.55 GB"),
        (270_600_000, "270.6 MB"),
        (27_980_000_000, "27.98 GB"),
        (1.3e12, "1.3 TB"),
        (4096, "4.096 kB"),
    ],
)
def test_sizes(size: int, text: str) -> None:
    assert format_size(size) == text


def test_times() -> None:
    assert format_time("2026-03-12T01:00:12.345+00:00") == "2026-03-12 01:00"


@pytest.mark.parametrize(
    ("count", "noun", "text"),
    [
        (1, "launch", "1 launch"),
        (2, "launch", "2 launches"),
        (0, "request", "0 requests"),
        (2, "hypothesis", "2 hypotheses"),
        (3, "query", "3 queries"),
        (2, "day", "2 days"),
    ],
)
def test_plurals(count: int, noun: str, text: str) -> None:
    assert format_count(count, noun) == text


def test_a_plural_without_a_rule() -> None:
    assert format_count(2, "series", "series") == "2 series"
    assert not re.search("1 seriess", format_count(1, "series"))


def test_long_texts_show_only_what_differs() -> None:
    line = "serve /models/qwen --port 8000 --ctx-size {} --flash-attn --parallel 4"
    assert format_difference("6.17", "6.18") == "6.17 → 6.18"
    assert format_difference(line.format(4096), line.format(8192)) == "… --ctx-size 4096 → 8192 …"
    assert format_difference(line.format(4096), line.format("4096 --mlock")) == "… 4096 (nothing) → --mlock …"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "less than a minute"), (60, "1 minute"), (7300, "2 hours"), (86400, "1 day"), (30.5 * 86400, "30 days")],
)
def test_age_is_in_its_largest_unit(seconds: float, text: str) -> None:
    assert format_age(seconds) == text
