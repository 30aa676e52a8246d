#!/usr/bin/env python3
"""Simulate how often the gate is wrong, with its real code: false alarms, missed drops, launches used.

Usage: .venv/bin/python bench/error_rates.py [--runs N] [--json FILE] [--docs FOLDER]

Takes about a quarter of an hour on one core. A row holds the verdicts of one gate on `runs` simulated nights of 20 cells: the
first cell is slower by `true_drop`, the others are unchanged. A row of a single cell counts the verdicts of the first
cell; a row "of 20" counts whole runs: regressed when any unchanged cell is called regressed, else inconclusive when
any is, else passed. `launches` is the mean number of launches tonight of the first cell, the confirming one included;
`drift` is how much slower each run ends than it starts. Baselines hold 10 launches. The seed of a scenario is SEED +
its place in the list.

Rows of a "duet" are of a fifth as many runs: `cv` is the standard deviation between launch pairs, `launches` counts
launch pairs, and `drift` goes up or down. Of a claim, a row counts `refuted` as regressed and `confirmed` as passed, and
`true_drop` is 1 - the true ratio. A name that ends in "whole runs" counts as "of 20" does.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
from gates import FAMILY, Gate, Result, benchmark, history, naive, stopping, tokgate
from launch_pairs import claim_rows, duet_rows
from nights import World, nights
from pages import Row, markdown, svg

from tokgate.config.hypothesis import Arm, Claim, Hypothesis
from tokgate.judge.blocks import Block
from tokgate.judge.hypothesis import decide
from tokgate.judge.stats import welch
from tokgate.judge.verdict import Outcome

SEED = 20261124
CVS = (0.01, 0.02, 0.05)
DROPS = (0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.10, 0.12, 0.15, 0.20)
DRIFT = 0.03
BLOCKS = 3


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """Nights of a world, and the gates that judge them."""

    world: World
    true_drop: float
    gates: dict[str, Gate]


RIVALS: dict[str, Gate] = {
    "tokgate": tokgate,
    "mean < 0.95 x baseline": naive,
    "pytest-benchmark mean:5%": benchmark("mean"),
    "pytest-benchmark min:5%": benchmark("min"),
}


def scenarios() -> Iterator[Scenario]:
    """All of them, in an order that fixes their seeds."""
    for cv in CVS:
        yield Scenario(world=World(cv=cv), true_drop=0.0, gates=RIVALS)
        yield Scenario(world=World(cv=cv, drift=DRIFT), true_drop=0.0, gates=RIVALS)
        tonight = World(cv=cv, drift=DRIFT, drift_before=False)
        yield Scenario(world=tonight, true_drop=0.0, gates={"tokgate, only tonight drifts": tokgate})
        for drop in DROPS:
            yield Scenario(world=World(cv=cv, cells=1), true_drop=drop, gates=RIVALS)
    for cv, drop in ((0.01, 0.05), (0.02, 0.10)):
        yield Scenario(world=World(cv=cv, drift=DRIFT, cells=1), true_drop=drop, gates={"tokgate": tokgate})
    for cv in CVS:
        for drop in (0.0, 0.05, 0.10):
            world = World(cv=cv, night_cv=cv / 2, baseline=15, cells=1 if drop else FAMILY)
            yield Scenario(world=world, true_drop=drop, gates={"tokgate, 15 nights": history})
    for launches in (5, 10):
        both: dict[str, Gate] = {
            f"tokgate, plan of {launches}": tokgate,
            f"tokgate, plan of {launches}, early stopping": stopping,
        }
        for cv, drop in ((0.005, 0.0), (0.01, 0.0), (0.01, 0.05), (0.01, 0.10), (0.01, 0.20), (0.02, 0.10)):
            yield Scenario(world=World(cv=cv, launches=launches, cells=1), true_drop=drop, gates=both)
        yield Scenario(world=World(cv=0.05, launches=launches), true_drop=0.0, gates=both)


def rows(scenario: Scenario, *, runs: int, seed: int) -> Iterator[Row]:
    """A row for the first cell and, where nothing changed, one for the whole run."""
    world = scenario.world
    drops = np.zeros(world.cells)
    drops[0] = scenario.true_drop
    results: dict[str, list[Result]] = defaultdict(list)
    for night in nights(world, runs=runs, seed=seed, drops=drops):
        for name, gate in scenario.gates.items():
            results[name].append(gate(night))
    for name, nightly in results.items():
        launches = sum(result.launches for result in nightly) / runs
        first = Counter(result.outcomes[0] for result in nightly)
        yield _row(name, world, scenario.true_drop, launches, first)
        if world.cells == FAMILY:
            whole = Counter(_worst(result.outcomes) for result in nightly)
            yield _row(f"{name}, run of {FAMILY}", world, scenario.true_drop, launches, whole)


def _worst(outcomes: tuple[Outcome, ...]) -> Outcome:
    for outcome in (Outcome.REGRESSED, Outcome.INCONCLUSIVE):
        if outcome in outcomes:
            return outcome
    return Outcome.PASS


def experiments(*, runs: int, seed: int) -> Iterator[Row]:
    """Is A a little better than B? Mirrored blocks, and all of A before all of B, with the same drift."""
    question = Hypothesis(
        title="B is at least as fast as A",
        source="this simulation",
        a=Arm(server="a"),
        b=Arm(server="b"),
        workload="workload",
        claim=Claim(metric="decode_tps", above=1.0),
        rival="B is slower",
    )
    meaning = {Outcome.CONFIRMED: Outcome.PASS, Outcome.REFUTED: Outcome.REGRESSED}
    launches = 4 * BLOCKS
    for at, (drift, drop) in enumerate(((0.0, 0.0), (DRIFT, 0.0), (DRIFT, 0.05))):
        rng = np.random.default_rng(seed + at)
        mirrored: Counter[Outcome] = Counter()
        in_turn: Counter[Outcome] = Counter()
        world = World(cv=0.01, drift=drift, launches=launches)
        for _ in range(runs):
            orders = rng.choice(["abba", "baab"], BLOCKS).tolist()
            noise = rng.normal(0.0, world.cv, launches) + np.log1p(-drift) * np.linspace(0.0, 1.0, launches)
            is_b = np.array([arm == "b" for order in orders for arm in order])
            values = np.exp(noise + np.log1p(-drop) * is_b).reshape(BLOCKS, 4)
            blocks = [
                Block(arms=tuple(order[:2]), values=tuple(four))
                for order, four in zip(orders, values.tolist(), strict=True)
            ]
            verdict = decide(question, blocks)
            mirrored[meaning.get(verdict.outcome, verdict.outcome)] += 1
            turns = np.exp(noise + np.log1p(-drop) * (np.arange(launches) >= launches // 2)).tolist()
            low, high = welch(turns[launches // 2 :], turns[: launches // 2]).interval(0.025)
            in_turn[Outcome.REGRESSED if high < 1 else Outcome.PASS if low > 1 else Outcome.INCONCLUSIVE] += 1
        yield _row(f"A B B A x {BLOCKS}, slower?", world, drop, launches, mirrored)
        yield _row(f"A x {launches // 2}, then B x {launches // 2}, slower?", world, drop, launches, in_turn)


def _row(gate: str, world: World, drop: float, launches: float, counts: Counter[Outcome]) -> Row:
    runs = counts.total()
    passed = counts[Outcome.PASS] + counts[Outcome.IMPROVED]
    return Row(
        gate=gate,
        cv=world.cv,
        drift=world.drift,
        true_drop=drop,
        launches=round(launches, 2),
        runs=runs,
        p_regressed=counts[Outcome.REGRESSED] / runs,
        p_inconclusive=counts[Outcome.INCONCLUSIVE] / runs,
        p_pass=passed / runs,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000, help="nights of each scenario (default: 10000)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows")
    parser.add_argument(
        "--docs",
        type=Path,
        metavar="FOLDER",
        help="rewrite error-rates.svg and the tables of error-rates.md there",
    )
    options = parser.parse_args()
    started = time.perf_counter()
    results: list[Row] = []
    for number, scenario in enumerate(scenarios()):
        results += rows(scenario, runs=options.runs, seed=SEED + number)
        print(f"{time.perf_counter() - started:6.0f} s  {number + 1} scenarios", end="\r", file=sys.stderr)
    results += experiments(runs=options.runs, seed=SEED + 1000)
    # A run of a duet takes longer to simulate than a night, and its rates are further from the limits.
    fewer = max(1, options.runs // 5)
    results += duet_rows(runs=fewer, seed=SEED + 2000)
    results += claim_rows(runs=fewer, seed=SEED + 3000)
    print(markdown(results))
    if options.json:
        options.json.write_bytes(msgspec.json.encode(results))
    if options.docs:
        update_docs(options.docs, results)


def update_docs(docs: Path, results: list[Row]) -> None:
    """Rewrite error-rates.svg, and the tables between the marks of error-rates.md."""
    (docs / "error-rates.svg").write_text(svg(results))
    page = docs / "error-rates.md"
    before, begin, rest = page.read_text().partition("<!-- tables -->\n")
    _, end, after = rest.partition("<!-- end of tables -->\n")
    page.write_text(f"{before}{begin}\n{markdown(results)}\n\n{end}{after}")


if __name__ == "__main__":
    main()
