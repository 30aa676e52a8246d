#!/usr/bin/env python3
"""Does a fixed piece of work, timed beside a pass, track what llama.cpp's server does in it?

Usage: .venv/bin/python bench/yardstick.py [--passes 60] [--quiet] [--json FILE] [--read FILE]

A pass is three answers of 32 tokens (decode) and a text of about 400 tokens (prefill), from the embedded engine.
The yardsticks are timed before, between and after the requests. Meanwhile a process of this script burns CPU time or
memory bandwidth at random times (--quiet: none does). Written are the correlations of the logarithms of the rates with
those of each yardstick: over all passes, and over those that the suite's own rules call quiet. --read only computes
them again from FILE. Takes about 4 seconds for a pass.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import geometric_mean, mean, median
from typing import Any

import numpy as np

from tokgate import engines
from tokgate.config.quiet import QuietLimits
from tokgate.drive.client import Endpoint
from tokgate.drive.load import drive
from tokgate.drive.prompts import make_requests
from tokgate.engines.specs import open_catalogue
from tokgate.launch.server import Server
from tokgate.launch.start import start
from tokgate.machine.cores import count_usable_cores
from tokgate.machine.monitor import Monitor
from tokgate.measure.metrics import Pass, compute_metrics
from tokgate.measure.quiet import check_host

ROOT = Path(__file__).parents[1]
SECONDS = 0.1  # of one yardstick, each time it is taken
PAUSES_S = (5.0, 20.0)  # the disturber works, and rests, for a time between these

DECODE, PREFILL = "decode_tps", "prefill_tps"
PASS = ((DECODE, "chat-c1", 32), (DECODE, "chat-c1", 32), (DECODE, "chat-c1", 32), (PREFILL, "past256-c1", 2))
"""The requests of a pass: what each is for, its workload, and the length of its output in tokens."""

USES: dict[str, Callable[[Sequence[float]], float]] = {
    "before": lambda speeds: speeds[0],
    "before and after": lambda speeds: 2 / (1 / speeds[0] + 1 / speeds[-1]),
    "slower of both": lambda speeds: min(speeds[0], speeds[-1]),
    "around and between": lambda speeds: len(speeds) / sum(1 / speed for speed in speeds),
}
"""How the samples of a pass become one figure."""


class Yardsticks:
    """The candidates by name, as callables that do the work once."""

    def __init__(self) -> None:
        cores = count_usable_cores()
        self._pool = ThreadPoolExecutor(cores)
        factor = np.ones((512, 512), np.float32)
        product = factor @ factor

        def allocate(megabytes: int) -> list[Any]:
            count = megabytes * 10**6 // 8 // cores
            return list(self._pool.map(lambda _: np.ones(count, np.int64), range(cores)))

        large, model = allocate(512), allocate(97)
        steps = list(zip(*[np.array_split(part, 100) for part in model], strict=True))
        self.candidates: dict[str, Callable[[], object]] = {
            "read 512 MB": lambda: list(self._pool.map(np.max, large)),
            "read 97 MB, as much as the model": lambda: list(self._pool.map(np.max, model)),
            "read 97 MB in 100 steps together": lambda: [list(self._pool.map(np.max, step)) for step in steps],
            "matrix product": lambda: np.matmul(factor, factor, out=product),
        }

    def take(self) -> dict[str, float]:
        """Repetitions per second of each, by the median and (`, mean`) by the mean of the times."""
        speeds = {}
        for name, work in self.candidates.items():
            times = []
            until_s = time.perf_counter() + SECONDS
            while (begun := time.perf_counter()) < until_s:
                work()
                times.append(time.perf_counter() - begun)
            speeds[name], speeds[f"{name}, mean"] = 1 / median(times), 1 / mean(times)
        return speeds


def ask(server: Server, workload_name: str, *, tokens: int, seed: int) -> dict[str, float]:
    """The metrics of one request."""
    catalogue = open_catalogue(ROOT / "fixtures")
    workload = catalogue.workload(workload_name)
    engine = engines.find(server.facts.engine)
    result = drive(
        Endpoint(
            base_url=server.facts.base_url,
            model=server.facts.model,
            engine=engine,
            body=engine.timed_body(server.spec.request),
        ),
        make_requests(catalogue.prompts(workload.prompts), 1, seed=seed, max_tokens=tokens),
        workload.load,
        seed=seed,
        request_timeout_s=300,
        stall_timeout_s=120,
        on_progress=lambda _: None,
    )
    return compute_metrics(Pass(result.samples))


def measure(server: Server, yardsticks: Yardsticks, number: int) -> dict[str, Any]:
    """One pass: the rates, the yardsticks before, between and after, and whether the machine was quiet."""
    rates: dict[str, list[float]] = {DECODE: [], PREFILL: []}
    speeds: dict[str, list[dict[str, float]]] = {DECODE: [], PREFILL: []}
    problems = []
    before = yardsticks.take()
    for at, (metric, workload, tokens) in enumerate(PASS):
        with Monitor(server_pids=server.facts.pids) as monitor:
            rates[metric].append(ask(server, workload, tokens=tokens, seed=1000 + 10 * number + at)[metric])
        problems += [problem.rule for problem in check_host(monitor.report, QuietLimits())]
        after = yardsticks.take()
        speeds[metric] += [after] if speeds[metric] else [before, after]
        before = after
    return {"pass": number, "rates": rates, "speeds": speeds, "problems": problems}


def correlate(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The correlations of the logarithms, by metric, yardstick and use, over all and over the quiet passes."""
    table = []
    for metric in (DECODE, PREFILL):
        for name in rows[0]["speeds"][metric][0]:
            for use, combine in USES.items():
                row: dict[str, Any] = {"metric": metric, "yardstick": name, "use": use}
                for which, some in (("all", rows), ("quiet", [row for row in rows if not row["problems"]])):
                    rates = [geometric_mean(row["rates"][metric]) for row in some]
                    speeds = [combine([taken[name] for taken in row["speeds"][metric]]) for row in some]
                    row[f"{which}_passes"] = len(some)
                    row[which] = float(np.corrcoef(np.log(rates), np.log(speeds))[0, 1]) if len(some) > 2 else None
                table.append(row)
    return table


def disturb(seed: int) -> None:
    """Burn CPU time or memory bandwidth at random times, with a random share of one core. Ends when it is killed."""
    rng = random.Random(seed)
    parent = os.getppid()
    large = np.ones(32_000_000, np.int64)
    while os.getppid() == parent:
        time.sleep(rng.uniform(*PAUSES_S))
        reads, share, until_s = rng.random() < 0.5, rng.uniform(0.05, 0.7), time.monotonic() + rng.uniform(*PAUSES_S)
        while time.monotonic() < until_s:
            begun = time.monotonic()
            while time.monotonic() - begun < 0.02:
                large.max() if reads else sum(range(1000))
            time.sleep((time.monotonic() - begun) * (1 / share - 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passes", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quiet", action="store_true")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--read", type=Path, metavar="FILE")
    parser.add_argument("--disturb", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.disturb:
        disturb(options.seed)
    elif options.read:
        show(json.loads(options.read.read_bytes())["passes"])
    else:
        run(options)


def run(options: argparse.Namespace) -> None:
    """Measure the passes, write them after each, and print the table."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    rows: list[dict[str, Any]] = []
    yardsticks = Yardsticks()
    spec = open_catalogue(ROOT / "fixtures").server("embedded-smollm2")
    disturber = None
    with tempfile.TemporaryDirectory() as logs, start(spec, log_dir=Path(logs)) as server:
        measure(server, yardsticks, 0)  # warm-up
        if not options.quiet:
            disturber = subprocess.Popen([sys.executable, __file__, "--disturb", "--seed", str(options.seed)])
        try:
            for number in range(1, options.passes + 1):
                rows.append(measure(server, yardsticks, number))
                if options.json:
                    result = {"passes": rows, "correlations": correlate(rows)}
                    options.json.write_text(json.dumps(result, indent=1) + "\n")
        finally:
            if disturber is not None:
                disturber.kill()
                disturber.wait()
    show(rows)


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Print the table of correlations."""
    for row in correlate(rows):
        values = "  ".join(
            f"{which} {row[which]:+.2f} of {row[f'{which}_passes']}" for which in ("all", "quiet") if row[which]
        )
        print(f"{row['metric']:12} {row['yardstick']:40} {row['use']:20} {values}")


if __name__ == "__main__":
    main()
