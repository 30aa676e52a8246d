"""What accepting a baseline changes, as text."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tokgate.config.words import format_count, format_figure, format_ratio
from tokgate.store.baselines import Baseline


def difference(old: Baseline | None, new: Baseline) -> str:
    """Each metric of `new` beside what it replaces: geometric means over launches and their ratio."""
    lines = [
        f"{new.server}: {new.source}" + (f", replacing {old.source} of {old.date}" if old else ", the first")
    ]
    if new.forced:
        lines.append(f"  accepted by force: {new.forced}")
    for workload, cell in new.cells.items():
        before = old.cells.get(workload) if old else None
        for metric, values in cell.metrics.items():
            now = _mean(values)
            told = (
                f"  {workload} {metric}: {format_figure(metric, now)} ({format_count(len(values), 'launch')})"
            )
            if before and metric in before.metrics:
                was = _mean(before.metrics[metric])
                told += f", was {format_figure(metric, was)} (ratio {format_ratio(now / was)})"
            lines.append(told)
    if old and old.canary and new.canary:
        before_said = old.canary.texts
        lines += [
            f"  {one}: answers {text!r}, was {before_said.get(one)!r}"
            for one, text in new.canary.texts.items()
            if text != before_said.get(one)
        ]
    gone = sorted(set(old.cells) - set(new.cells)) if old else []
    lines += [f"  {workload}: no longer in the baseline, this run did not measure it" for workload in gone]
    return "\n".join(lines)


def _mean(values: Sequence[float]) -> float:
    return math.exp(math.fsum(map(math.log, values)) / len(values))
