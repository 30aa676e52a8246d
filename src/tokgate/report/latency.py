"""Latency: how long the first token, and each next one, took; as quantiles of all requests of a cell."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from tokgate.config.words import format_count, format_figure, format_number
from tokgate.judge.cell import CaseKey
from tokgate.measure.measurement import Measurement
from tokgate.measure.metrics import Pass, collect_values, tokens_per_chunk
from tokgate.store.runs import group_launches

SHARES = (0.0, *(round(0.02 * step, 2) for step in range(1, 50)), 0.99, 0.995, 0.999, 1.0)
"""Shares at which a distribution is kept; finer in the tail, which is what users complain about."""

_QUANTILES = (0.5, 0.9, 0.99, 1.0)


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """One distribution. seconds: its quantiles at SHARES; texts: p50, p90, p99 and max, as text."""

    count: int
    seconds: tuple[float, ...]
    texts: tuple[str, ...]


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """One cell, all valid launches together. note: what limits its figures, empty if nothing."""

    case: CaseKey
    launches: int
    ttft: Spread | None
    itl: Spread | None
    note: str


def collect_latencies(measurements: Sequence[Measurement]) -> tuple[Latency, ...]:
    """The distributions of each cell, in the order of the run."""
    return tuple(_latency(case, launches) for case, launches in group_launches(measurements).items())


def _latency(case: CaseKey, launches: list[Measurement]) -> Latency:
    valid = [run for run in launches if run.valid]
    used = valid or launches
    timed = Pass([sample for run in used for sample in run.samples if sample.error is None])
    return Latency(
        case=case,
        launches=len(used),
        ttft=_spread("ttft_s", collect_values("ttft_s", timed)),
        itl=_spread("itl_s", collect_values("itl_s", timed)),
        note=_note(len(launches), len(valid), tokens_per_chunk(timed)),
    )


def _spread(metric: str, seconds: np.ndarray) -> Spread | None:
    if not seconds.size:
        return None
    return Spread(
        count=int(seconds.size),
        seconds=tuple(round(float(value), 7) for value in np.quantile(seconds, SHARES)),
        texts=tuple(format_figure(metric, float(value)) for value in np.quantile(seconds, _QUANTILES)),
    )


def _note(launches: int, valid: int, per_chunk: float | None) -> str:
    notes = []
    if not valid:
        notes.append("no launch is valid: these figures are of invalid measurements")
    elif valid < launches:
        notes.append(f"without {launches - valid} of {format_count(launches, 'launch')}: invalid")
    if per_chunk is not None and not 0.99 < per_chunk < 1.01:
        notes.append(f"{format_number(per_chunk)} tokens per chunk: gaps are between chunks, not tokens")
    return "; ".join(notes)
