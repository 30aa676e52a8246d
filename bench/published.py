#!/usr/bin/env python3
"""Import and scan the published llama-bench history of gfx1151: what changed when, and how much of it is chance.

FILE is a CSV with the columns of `MAPS`, one published measurement per row. False changes are counted on series
of the same lengths in which nothing changed: one level, with the scatter of re-runs of the same build, drawn with
replacement.

Usage: .venv/bin/python bench/published.py FILE [--model TEXT] [--draws N] [--seed N]
"""

from __future__ import annotations

import argparse
import math
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np

from tokgate.judge.changepoint import find_changes
from tokgate.report.changes import date_changes, select_usable
from tokgate.report.history import describe_changes
from tokgate.store.history import Series, read_history
from tokgate.store.importers.csv import read_csv
from tokgate.store.imports import write_import

MAPS = (
    *("started=commit_date", "server=channel+model", "workload=test", "metric==output_tps", "value=mean_tps"),
    *("condition=variant+quant+fa+n_ubatch", "machine==gfx1151", "suspect=env_canon+llama_build+kernel"),
)
SHORTEST = 5  # in shorter series neither Otava nor the night rule can be sure of anything


def scatter(series: list[Series]) -> list[float]:
    """Log ratios of consecutive points whose recorded facts are all equal, each divided by the root of two."""
    return [
        math.log(b.value / a.value) / math.sqrt(2)
        for cell in series
        for a, b in pairwise(select_usable(cell))
        if a.fingerprint == b.fingerprint
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--model", default="", help="print the changes of servers whose name contains this")
    parser.add_argument("--draws", type=int, default=20, help="unchanged series for each real one (default: 20)")
    parser.add_argument("--seed", type=int, default=20261125)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as runs:
        write_import(Path(runs), read_csv(options.file, MAPS), source=f"csv {options.file.name}")
        history = read_history(Path(runs))
    long = [series for series in history if len(series.points) >= SHORTEST]
    dated = [date_changes(series) for series in long]
    for series, series_changes in zip(long, dated, strict=True):
        if options.model in series.server:
            print(*describe_changes(series, series_changes), sep="\n", end="\n" if series_changes else "")
    every = [change for series_changes in dated for change in series_changes]
    print(f"{len(history)} series, {len(long)} of them with {SHORTEST} points or more")
    for kind in ("step", "night", "slide"):
        of_kind = [change for change in every if change.change.kind == kind]
        worse = sum(change.worse for change in of_kind)
        bare = sum(not change.suspects for change in of_kind)
        print(f"{kind}: {len(of_kind)} changes, {worse} for the worse, {bare} without a suspect")
    noise = scatter(list(history))
    rng = np.random.default_rng(options.seed)
    false = [
        change
        for series in long
        for _ in range(options.draws)
        for change in find_changes(np.exp(rng.choice(noise, len(series.points))).tolist())
    ]
    per_100 = {
        kind: sum(change.kind == kind for change in false) / len(long) / options.draws * 100
        for kind in ("step", "night")
    }
    print(
        f"false changes per 100 unchanged series: {per_100} (scatter of {len(noise)} re-runs, median "
        f"{np.median(np.abs(noise)) * math.sqrt(2):.2%} between two, seed {options.seed})"
    )


if __name__ == "__main__":
    main()
