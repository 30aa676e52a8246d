#!/usr/bin/env python3
"""Simulate years of nights: which changes the nightly report finds, and how often it is wrong.

Each night is judged by the package's own code from the nights up to it, and compared with Apache Otava alone.
A report is a slowdown that is open that night and was not reported before. Steps move as nights come in, so a step
within a week of a reported one counts as the same. Noise is independent between nights, normal on the log scale.

Usage: .venv/bin/python bench/slides.py [--years N] [--cells N] [--cv CV] [--seed N] [--json FILE]

FILE collects the counts of runs with several seeds; the output is all of them together, with 95 % intervals.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, chi2

from tokgate.judge.changepoint import Change, find_steps, merge_changes, watch_nights
from tokgate.machine.fingerprint import Fingerprint
from tokgate.report.changes import date_change
from tokgate.store.history import Point

CELLS = 20
BEFORE = 180  # nights before a drop or slide begins
SLIDE = 30
SAME = 7
GATES = ("tokgate", "otava")
BOX = Fingerprint({})
FIRST = datetime.fromisoformat("2025-01-01T02:00:00.000+00:00")
Reports = list[tuple[int, Change]]


def nights(values: Sequence[float]) -> tuple[Point, ...]:
    return tuple(
        Point(
            run_id=str(n),
            started=(FIRST + timedelta(days=n)).isoformat(timespec="milliseconds"),
            value=value,
            launches=(value,),
            valid=True,
            outcome=None,
            provenance="measured",
            source=f"run {n}",
            fingerprint=BOX,
        )
        for n, value in enumerate(values)
    )


def reports(series: NDArray[np.float64], first: int) -> dict[str, Reports]:
    """Night and change of each report, by gate, judging every night from `first` on."""
    values: list[float] = series.tolist()
    points, watched = nights(values), watch_nights(values)  # later nights never change a night or a slide
    reported: dict[str, Reports] = {gate: [] for gate in GATES}
    for night in range(first, len(values)):
        known, lasting = points[: night + 1], find_steps(values[: night + 1])
        recent = [change for change in watched if change.found is not None and change.found <= night]
        changes = merge_changes(lasting, recent)
        still_open = {
            "tokgate": [change for change in changes if date_change("decode_tps", known, change).open],
            "otava": [step for step in lasting if step.ratio < 1 and len(known) - step.index <= SLIDE],
        }
        for gate in GATES:
            for change in still_open[gate]:
                if not any(_is_same(earlier, change) for _, earlier in reported[gate]):
                    reported[gate].append((night, change))
    return reported


def _is_same(earlier: Change, change: Change) -> bool:
    is_near = earlier.kind == change.kind and abs(earlier.index - change.index) <= SAME
    return is_near or earlier.index == change.index


def simulate(*, years: int, cells: int, cv: float, seed: int) -> dict[str, Counter[str]]:
    """How often each kind of change was reported, by gate. Each scenario has its own seed."""
    noise = [np.random.default_rng([seed, scenario]) for scenario in range(3)]
    count = {gate: Counter(years=years, cells=cells) for gate in GATES}
    for _ in range(years * CELLS):
        for gate, reported in reports(np.exp(noise[0].normal(0, cv, 365)), 3).items():
            count[gate].update(f"false {change.kind}" for _, change in reported)
    for _ in range(cells):
        values = np.exp(noise[1].normal(0, cv, BEFORE + 14))
        values[BEFORE:] *= 0.9
        for gate, reported in reports(values[: BEFORE + 2], BEFORE - 1).items():
            night = min((night - BEFORE for night, _ in reported if night >= BEFORE), default=None)
            count[gate].update({"drop, same night": night == 0, "drop, by the second": night is not None})
        off = [abs(step.index - BEFORE) for step in find_steps(values.tolist())]
        for gate in GATES:
            count[gate].update({"drop, dated to the night": 0 in off})
    for _ in range(cells):
        values = np.exp(noise[2].normal(0, cv, BEFORE + SLIDE))
        values[BEFORE:] *= 1 - 0.03 * np.arange(1, SLIDE + 1) / SLIDE
        for gate, reported in reports(values, BEFORE - 1).items():
            hits = [night for night, change in reported if (change.found or change.index) >= BEFORE - SAME]
            night = min((night - BEFORE + 1 for night in hits if night >= BEFORE), default=None)
            count[gate].update({"slide": night is not None, f"slide on night {night or 0:02}": 1})
    return count


def format_rates(count: Counter[str]) -> str:
    """Rates with their exact 95 % intervals: Poisson for false reports per month, Clopper-Pearson for shares."""
    lines = []
    if months := 12 * count["years"]:
        kinds = {name: count[name] for name in sorted(count) if name.startswith("false ")}
        total = sum(kinds.values())
        low, high = chi2.ppf(0.025, 2 * total) / 2 / months, chi2.ppf(0.975, 2 * total + 2) / 2 / months
        lines.append(f"false per month: {total / months:.2f} ({low:.2f} to {high:.2f}), {total} in {months}: {kinds}")
    if cells := count["cells"]:
        for name in ("drop, same night", "drop, by the second", "drop, dated to the night", "slide"):
            hits = count[name]
            low = beta.ppf(0.025, hits, cells - hits + 1) if hits else 0
            high = beta.ppf(0.975, hits + 1, cells - hits) if hits < cells else 1
            lines.append(f"{name}: {hits} of {cells}, {hits / cells:.1%} ({low:.1%} to {high:.1%})")
        nights = [int(name[-2:]) for name in count.elements() if name.startswith("slide on night")]
        seen = [float(night) for night in nights if night]
        lines.append(f"slide, median night: {np.median(seen) if seen else math.nan:.0f}")
    return "\n".join(f"  {line}" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--years", type=int, default=2, help="quiet years of 20 cells (default: 2)")
    parser.add_argument("--cells", type=int, default=200, help="number of drops, and of slides (default: 200)")
    parser.add_argument("--cv", type=float, default=0.02, help="scatter between nights (default: 0.02)")
    parser.add_argument("--seed", type=int, default=20261125)
    parser.add_argument("--json", type=Path, metavar="FILE", help="add to the runs in FILE")
    options = parser.parse_args()
    began = time.perf_counter()
    counts = simulate(years=options.years, cells=options.cells, cv=options.cv, seed=options.seed)
    runs = json.loads(options.json.read_text()) if options.json and options.json.exists() else []
    runs.append({"seed": options.seed, "cv": options.cv, "gates": counts})
    if options.json:
        options.json.write_text(json.dumps(runs, indent=1) + "\n")
    comparable = [run["gates"] for run in runs if run["cv"] == options.cv]
    for gate in GATES:
        print(f"{gate}:\n{format_rates(sum((Counter(gates[gate]) for gates in comparable), Counter()))}")
    print(f"{len(comparable)} runs; this one took {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
