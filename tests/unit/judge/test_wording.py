"""The sentences of verdicts."""

from __future__ import annotations

import pytest

from tokgate.judge.wording import figure_text


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("decode_tps", 24.0, "24.00 tok/s"),
        ("prefill_tps", 1597.4, "1597 tok/s"),
        ("ttft_s", 0.04567, "0.04567 s"),
        ("goodput_rps", 1.5, "1.500 req/s"),
        ("effective_GBps", 205.0, "205.0 GB/s"),
        ("tokens_per_joule", 0.5, "0.5000 tok/J"),
        ("score", 3.0, "3.000"),
    ],
)
def test_figures_are_written_to_four_digits_with_their_unit(metric: str, value: float, text: str) -> None:
    assert figure_text(metric, value) == text
