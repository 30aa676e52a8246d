"""The names of what is measured; their definitions are in `docs/metrics.md`."""

from __future__ import annotations

from typing import Literal, get_args

Metric = Literal[
    "ttfb_s",
    "ttft_s",
    "decode_tps",
    "tpot_s",
    "itl_s",
    "itl_p99_s",
    "prefill_tps",
    "output_tps",
    "goodput_rps",
    "effective_GBps",
    "tokens_per_joule",
]
METRICS: tuple[str, ...] = get_args(Metric)
