#!/usr/bin/env python3
"""The published llama-bench history of gfx1151, imported and scanned: what changed when, and how much of it is chance.

FILE is a CSV with the columns of `MAPS`, one row a published measurement. False changes are counted on series
of the same lengths in which nothing changed: one level, with the scatter that re-runs of one build of the
same file show, drawn with replacement.

Usage: .venv/bin/python bench/published.py FILE [--model TEXT] [--draws N] [--seed N]
"""

from __future__ import annotations

import argparse
import math
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np

from tokgate.judge.changepoint import changes
from tokgate.report.changes import changes_of, usable
from tokgate.report.history import change_lines
from tokgate.store.history import Series, read_history
from tokgate.store.importers.table import read_table
from tokgate.store.imports import write_import

MAPS = (
    *("started=commit_date", "server=channel+model", "workload=test", "metric==output_tps", "value=mean_tps"),
    *("condition=variant+quant+fa+n_ubatch", "machine==gfx1151", "suspect=env_canon+llama_build+kernel"),
)
SHORTEST = 5  # below that neither Otava nor a night can be sure of anything


def scatter(series: list[Series]) -> list[float]:
    """Log ratios of neighbours that agree in all that is recorded, each over the root of two."""
    return [
        math.log(b.value / a.value) / math.sqrt(2)
        for one in series
        for a, b in pairwise(usable(one))
        if a.fingerprint == b.fingerprint
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--model", default="", help="print the changes of the servers whose name holds this")
    parser.add_argument(
        "--draws", type=int, default=20, help="unchanged series for each real one (default: 20)"
    )
    parser.add_argument("--seed", type=int, default=20261125)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as runs:
        write_import(Path(runs), read_table(options.file, MAPS), source=f"csv {options.file.name}")
        history = read_history(Path(runs))
    long = [one for one in history if len(one.points) >= SHORTEST]
    found = {at: changes_of(one) for at, one in enumerate(long)}
    for at, one in enumerate(long):
        if options.model in one.server:
            print(*change_lines(one, found[at]), sep="\n", end="\n" if found[at] else "")
    every = [change for dated in found.values() for change in dated]
    print(f"{len(history)} series, {len(long)} of them with {SHORTEST} points or more")
    for kind in ("step", "night", "slide"):
        mine = [one for one in every if one.change.kind == kind]
        bare = sum(not one.suspects for one in mine)
        print(
            f"{kind}: {len(mine)} changes, {sum(one.worse for one in mine)} for the worse, {bare} with no suspect"
        )
    noise = scatter(list(history))
    rng = np.random.default_rng(options.seed)
    false = [
        change
        for one in long
        for _ in range(options.draws)
        for change in changes(np.exp(rng.choice(noise, len(one.points))).tolist())
    ]
    per_100 = {
        kind: sum(one.kind == kind for one in false) / len(long) / options.draws * 100
        for kind in ("step", "night")
    }
    print(
        f"false for each 100 unchanged series: {per_100} (scatter of {len(noise)} re-runs, median "
        f"{np.median(np.abs(noise)) * math.sqrt(2):.2%} between two, seed {options.seed})"
    )


if __name__ == "__main__":
    main()
