#!/usr/bin/env python3
"""What the nightly report of changes finds, and how often wrongly, over simulated years of nights.

Each night is judged by the package's own code on the nights up to it and none after, beside Apache Otava alone.
A report is a slowdown that is open that night and was not reported before; steps move as nights come in, so
one within a week of a reported one is the same. Noise is independent between nights, normal on the log scale.

Usage: .venv/bin/python ci/bench/slides.py [--years N] [--cells N] [--cv CV] [--seed N] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tokgate.judge.changepoint import Change, steps
from tokgate.machine.fingerprint import Fingerprint
from tokgate.report.changes import DatedChange, changes_of
from tokgate.store.history import Point, Series

CELLS = 20
BEFORE = 180  # nights before a drop or slide begins
SLIDE = 30
SAME = 7
Gate = Callable[[Sequence[Point]], Iterator[Change]]
BOX = Fingerprint({})
FIRST = datetime.fromisoformat("2025-01-01T02:00:00.000+00:00")


def nights(values: NDArray[np.float64]) -> tuple[Point, ...]:
    return tuple(
        Point(
            run_id=str(n),
            started=(FIRST + timedelta(days=n)).isoformat(timespec="milliseconds"),
            value=float(value),
            launches=(float(value),),
            valid=True,
            outcome=None,
            provenance="measured",
            source=f"run {n}",
            fingerprint=BOX,
        )
        for n, value in enumerate(values)
    )


def tokgate(points: Sequence[Point]) -> Iterator[Change]:
    series = Series(
        fingerprint="", server="s", workload="w", metric="decode_tps", conditions="", points=tuple(points)
    )
    found: tuple[DatedChange, ...] = changes_of(series)
    return (one.change for one in found if one.open)


def otava(points: Sequence[Point]) -> Iterator[Change]:
    found = steps([point.value for point in points])
    return (one for one in found if one.ratio < 1 and len(points) - one.index <= SLIDE)


def reports(points: Sequence[Point], gate: Gate, first: int) -> list[tuple[int, Change]]:
    """Night and change of each report, judging every night from `first` on."""
    told: list[tuple[int, Change]] = []
    for night in range(first, len(points)):
        for change in gate(points[: night + 1]):
            if not any(
                (one.kind == change.kind and abs(one.index - change.index) <= SAME)
                or one.index == change.index
                for _, one in told
            ):
                told.append((night, change))
    return told


def simulate(gate: Gate, *, years: int, cells: int, cv: float, seed: int) -> dict[str, object]:
    """Rates of one gate. Each scenario draws from a seed of its own, the same for every gate."""
    noise = [np.random.default_rng([seed, scenario]) for scenario in range(3)]
    quiet = [
        report
        for _ in range(years * CELLS)
        for report in reports(nights(np.exp(noise[0].normal(0, cv, 365))), gate, 3)
    ]
    drops, slides, dated = [], [], []
    for _ in range(cells):
        values = np.exp(noise[1].normal(0, cv, BEFORE + 14))
        values[BEFORE:] *= 0.9
        points = nights(values)
        found = reports(points[: BEFORE + 2], gate, BEFORE)
        drops.append(min([night - BEFORE for night, _ in found if night >= BEFORE], default=None))
        dated += [abs(one.index - BEFORE) for one in gate(points) if one.kind == "step"][:1]
    for _ in range(cells):
        values = np.exp(noise[2].normal(0, cv, BEFORE + SLIDE))
        values[BEFORE:] *= 1 - 0.03 * np.arange(1, SLIDE + 1) / SLIDE
        found = reports(nights(values), gate, BEFORE)
        hits = [night - BEFORE + 1 for night, one in found if (one.found or one.index) >= BEFORE - SAME]
        slides.append(min(hits, default=None))
    found_slides = [night for night in slides if night is not None]
    return {
        "false_per_month": len(quiet) / (12 * years) if years else None,
        "false_by_kind": {
            kind: sum(one.kind == kind for _, one in quiet) for kind in ("night", "slide", "step")
        },
        "drop_first_night": _share(night == 0 for night in drops),
        "drop_second_night": _share(night is not None for night in drops),
        "drop_dated_within": float(np.median(dated)) if dated else None,
        "slide_in_month": _share(night is not None for night in slides),
        "slide_median_night": float(np.median(found_slides)) if found_slides else None,
    }


def _share(hits: Iterable[bool]) -> float | None:
    seen = list(hits)
    return sum(seen) / len(seen) if seen else None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--years", type=int, default=2, help="quiet years of 20 cells (default: 2)")
    parser.add_argument("--cells", type=int, default=200, help="drops, and as many slides (default: 200)")
    parser.add_argument("--cv", type=float, default=0.02, help="scatter between nights (default: 0.02)")
    parser.add_argument("--seed", type=int, default=20261125)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    rows = []
    for gate in (tokgate, otava):
        started = time.perf_counter()
        found = simulate(gate, years=options.years, cells=options.cells, cv=options.cv, seed=options.seed)
        given = {"years": options.years, "cells": options.cells, "cv": options.cv, "seed": options.seed}
        rows.append({"gate": gate.__name__, **given, **found})
        print(f"{rows[-1]} ({time.perf_counter() - started:.0f} s)", flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
