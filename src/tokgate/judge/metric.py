"""What the gate must know of a metric: which way is better, its limits, and how its figures are written."""

from __future__ import annotations

from typing import Literal

_NOISY = {"ttft_s", "prefill_tps"}  # prefill and the first token scatter more between launches

_UNITS = {
    "tps": "tok/s",
    "rps": "req/s",
    "GBps": "GB/s",
    "s": "s",
    "joule": "tok/J",
    "chunk": "tok/chunk",
}


def direction(metric: str) -> Literal["higher", "lower"]:
    """Which way is better: a time (`_s`) is the better the shorter, anything else the better the more."""
    return "lower" if metric.endswith("_s") else "higher"


def default_tolerance(metric: str) -> float:
    """The drop (fraction) that is worth failing for."""
    return 0.08 if metric in _NOISY else 0.03


def default_promise(metric: str) -> float:
    """The drop (fraction) that a run undertakes to see."""
    return 0.12 if metric in _NOISY else 0.05


def unit(metric: str) -> str:
    """The unit a metric's name ends in, as it is written; empty when it has none."""
    return _UNITS.get(metric.rsplit("_", 1)[-1], "")


def figure_text(metric: str, value: float) -> str:
    """A figure with its unit, to four digits: `24.51 tok/s`."""
    return f"{f'{value:#.4g}'.rstrip('.')} {unit(metric)}".rstrip()
