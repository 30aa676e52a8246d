"""Words: how numbers are written, each kind once.

It is at the lowest layer because every layer writes numbers: `judge` in the reasons of verdicts, which become
JUnit properties, and `report` in terminal, HTML and Markdown. All of them agree to the character.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from difflib import SequenceMatcher

from tokgate.config.metric import find_metric

ABSENT = "–"
"""What a table shows where there is no value."""

# Three decimals show a ratio only between these: beyond them, two or three launches tell nothing.
_LEAST_RATIO, _MOST_RATIO = 0.001, 1000.0

_LONG_WORDS = 8  # a text of fewer words is read faster as a whole than as a difference

_LEAST_P = 1e-9  # smaller p values say no more than that chance is excluded


def format_figure(metric: str, value: float | None) -> str:
    """A measured value of a metric with its unit: `24.51 tok/s`, `123.4 ms`."""
    return ABSENT if value is None else format_quantity(value, find_metric(metric).unit)


def format_figures(values: Mapping[str, float]) -> str:
    """Measured values by metric: `decode_tps 24.51 tok/s, ttft_s 123.4 ms`."""
    return ", ".join(f"{metric} {format_figure(metric, value)}" for metric, value in values.items())


def format_quantity(value: float, unit: str) -> str:
    """A measured value to four digits, with its unit; times below one second in milliseconds."""
    if unit == "s" and abs(value) < 1:
        value, unit = 1e3 * value, "ms"
    return f"{_digits(value)} {unit}".rstrip()


def format_number(value: float) -> str:
    """A number that was stated, not measured: at most four digits, without trailing zeros: `256`, `0.05`."""
    digits = _digits(value)
    return digits.rstrip("0").rstrip(".") if "." in digits and "e" not in digits else digits


def _digits(value: float) -> str:
    """Four significant digits, and all digits before the decimal point: an exponent is hard to compare."""
    return f"{value:.0f}" if 999.95 <= abs(value) < 1e15 else f"{value:#.4g}"


def format_tick(seconds: float) -> str:
    """A round time at an axis: `2 s`, `50 ms`."""
    return f"{seconds:g} s" if seconds >= 1 else f"{1e3 * seconds:g} ms"


def format_percent(fraction: float) -> str:
    """One decimal from 1 % on, two significant digits below: `5.7 %`, `12 %`, `0.85 %`."""
    value = 100 * fraction
    if 0 < abs(value) < 0.01:
        return "< 0.01 %"
    return f"{value:.1f} %".replace(".0 %", " %") if abs(value) >= 1 else f"{value + 0.0:.2g} %"


def format_change(fraction: float) -> str:
    """A difference with its sign: `+5.7 %`, `−12 %`."""
    # Below what is shown, the sign says nothing either.
    sign = "" if abs(fraction) < 0.0001 else "+" if fraction > 0 else "−"
    return f"{sign}{format_percent(abs(fraction))}"


def format_ratio(ratio: float | None) -> str:
    """`0.916`."""
    return ABSENT if ratio is None or not math.isfinite(ratio) else f"{ratio:.3f}"


def format_interval(low: float | None, high: float | None) -> str:
    """The interval of a ratio: `0.912–1.043`; `unbounded` when too few launches bound it."""
    if low is None or high is None:
        return ABSENT
    if not is_bounded(low, high):
        return "unbounded"
    return f"{low:.3f}–{high:.3f}"


def is_bounded(low: float, high: float) -> bool:
    """Whether an interval of a ratio says anything."""
    return low >= _LEAST_RATIO and high <= _MOST_RATIO


def format_level(error: float) -> str:
    """The level of an interval that misses with probability `error`: `95 %`, `99.8 %`."""
    missed = 100 * error
    return f"{100 - missed:.{max(0, -math.floor(math.log10(missed)))}f} %"


def format_p(p: float) -> str:
    """`p 0.003`."""
    return f"p {p:.1g}" if p >= _LEAST_P else f"p < {_LEAST_P:g}"


def format_duration(seconds: float) -> str:
    """A duration as options and YAML files accept it: `4.2s`, `40s`, `12m30s`, `2h05m`."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours}h{minutes:02d}m"
    if minutes:
        return f"{minutes}m{rest:02d}s" if rest else f"{minutes}m"
    # A start of an embedded server takes a second or two: tenths matter there, and nowhere above.
    return f"{seconds:.1f}s".replace(".0s", "s") if seconds < 9.95 else f"{whole}s"


def format_age(seconds: float) -> str:
    """How old something is, in whole units of the largest that it fills: `3 days`, `5 hours`, `40 minutes`."""
    for unit, unit_s in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= unit_s:
            return format_count(int(seconds // unit_s), unit)
    return "less than a minute"


def format_size(size_bytes: float) -> str:
    """Bytes in a decimal unit: `8.55 GB`, `270.6 MB`."""
    units = (("TB", 1e12), ("GB", 1e9), ("MB", 1e6))
    name, bytes_each = next((unit for unit in units if size_bytes >= unit[1]), ("kB", 1e3))
    return f"{format_number(size_bytes / bytes_each)} {name}"


def format_time(moment: str) -> str:
    """An ISO 8601 time in UTC, to the minute: `2026-03-12 01:00`."""
    return moment[:16].replace("T", " ")


def format_difference(before: str, after: str) -> str:
    """`a → b`; of two long texts only the words that differ, each with the word before it: `… --ctx 4096 → 8192 …`."""
    a, b = before.split(), after.split()
    if min(len(a), len(b)) < _LONG_WORDS:
        return f"{before} → {after}"
    changes = [
        (" ".join(a[max(i - 1, 0) : i]), " ".join(a[i:j]), " ".join(b[k:m]))
        for tag, i, j, k, m in SequenceMatcher(None, a, b, autojunk=False).get_opcodes()
        if tag != "equal"
    ]
    return "; ".join(
        f"… {' '.join(filter(None, (context, removed or '(nothing)', '→', added or '(nothing)')))} …"
        for context, removed, added in changes
    )


def format_count(count: int, noun: str, plural: str = "") -> str:
    """A number of things: `1 launch`, `2 launches`. plural: where no rule gives it."""
    return f"{count} {noun if count == 1 else plural or _plural(noun)}"


def _plural(noun: str) -> str:
    if noun.endswith("sis"):
        return f"{noun.removesuffix('is')}es"
    if noun.endswith(("ch", "sh", "s", "x")):
        return f"{noun}es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return f"{noun.removesuffix('y')}ies"
    return f"{noun}s"
