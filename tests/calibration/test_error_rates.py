"""The gate's stated error rates hold, by simulation through its own code.

Seeds are fixed, so a count never changes by itself; each bound leaves room for the Monte-Carlo error of its
runs (one chance in 10,000). `bench/error_rates.py` does the same with 10,000 runs; its figures are in
`docs/error-rates.md`.
"""

from __future__ import annotations

import importlib
import json
import math
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from tokgate.judge.plan import Expected, plan_launches
from tokgate.judge.verdict import Outcome

BENCH = Path(__file__).parents[2] / "bench"
SEED = 11


@pytest.fixture(scope="module")
def bench() -> Any:
    """The bench and its modules, as the script itself sees them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCH))
        yield importlib.import_module("error_rates")


def said(bench: ModuleType, world: dict[str, Any], drop: float, *gates: str, runs: int) -> dict[str, Any]:
    """Rows by gate, of one scenario."""
    chosen = {"stopping": bench.stopping, "history": bench.history} | bench.RIVALS
    scenario = bench.Scenario(world=bench.World(**world), true_drop=drop, gates={name: chosen[name] for name in gates})
    return {row.gate: row for row in bench.rows(scenario, runs=runs, seed=SEED)}


def at_most(rate: float, of: float, runs: int) -> bool:
    """Whether `of`, seen in so many runs, is no evidence that the true rate is above `rate`."""
    return bool(binom.sf(round(of * runs) - 1, runs, rate) > 1e-4)


def at_least(rate: float, of: float, runs: int) -> bool:
    return at_most(1 - rate, 1 - of, runs)


@pytest.mark.parametrize("cv", [0.01, 0.02, 0.05])
@pytest.mark.parametrize("drift", [0.0, 0.03])
def test_false_alarms(bench: ModuleType, cv: float, drift: float) -> None:
    """A run of 20 unchanged cells fails in 1 of 100."""
    rows = said(bench, {"cv": cv, "drift": drift}, 0.0, "tokgate", runs=700)
    assert at_most(0.01, rows["tokgate, run of 20"].p_regressed, 700)


@pytest.mark.parametrize(("cv", "drop"), [(0.01, 0.05), (0.02, 0.10)])
def test_detection_rate(bench: ModuleType, cv: float, drop: float) -> None:
    """With 5 launches a drop is found in 95 of 100."""
    row = said(bench, {"cv": cv, "cells": 1}, drop, "tokgate", runs=2000)["tokgate"]
    assert at_least(0.95, row.p_regressed, 2000)
    assert row.p_regressed > 0.95


@pytest.mark.parametrize("cv", [0.01, 0.02, 0.05])
def test_promised_drop_does_not_pass(bench: ModuleType, cv: float) -> None:
    row = said(bench, {"cv": cv, "cells": 1}, 0.05, "tokgate", runs=2000)["tokgate"]
    assert at_most(0.01, row.p_pass, 2000)


def test_low_power_is_inconclusive(bench: ModuleType) -> None:
    """Without power the gate says so where other rules fail or pass."""
    rows = said(bench, {"cv": 0.05}, 0.0, *bench.RIVALS, runs=300)
    assert rows["tokgate"].p_inconclusive > 0.8
    assert rows["mean < 0.95 x baseline, run of 20"].p_regressed > 0.3
    assert rows["pytest-benchmark mean:5%, run of 20"].p_regressed > 0.3
    missed = said(bench, {"cv": 0.01, "cells": 1}, 0.05, *bench.RIVALS, runs=300)
    assert missed["mean < 0.95 x baseline"].p_pass > 0.3


def test_error_rate_of_nights(bench: ModuleType) -> None:
    """A history of nights has the same error rate."""
    world = {"cv": 0.05, "night_cv": 0.025, "baseline": 15}
    rows = said(bench, world, 0.0, "history", runs=700)
    assert at_most(0.01, rows["history, run of 20"].p_regressed, 700)


def test_early_stopping_costs_no_false_alarm(bench: ModuleType) -> None:
    rows = said(bench, {"cv": 0.05, "launches": 8}, 0.0, "stopping", runs=200)
    assert at_most(0.01, rows["stopping, run of 20"].p_regressed, 200)


@pytest.mark.parametrize(("cv", "drop"), [(0.01, 0.0), (0.01, 0.10), (0.005, 0.0)])
def test_clear_results_stop_early(bench: ModuleType, cv: float, drop: float) -> None:
    """A clear result takes less than 60 % of a plan of 10 launches."""
    rows = said(bench, {"cv": cv, "launches": 10, "cells": 1}, drop, "tokgate", "stopping", runs=500)
    fixed, early = rows["tokgate"], rows["stopping"]
    assert early.launches <= 0.6 * fixed.launches
    assert early.p_regressed == pytest.approx(fixed.p_regressed, abs=0.01)
    assert early.p_pass == pytest.approx(fixed.p_pass, abs=0.01)


@pytest.mark.parametrize("launches", [3, 5, 10])
@pytest.mark.parametrize("cv", [0.01, 0.05])
def test_planned_drop_is_detected(bench: ModuleType, cv: float, launches: int) -> None:
    """The drop that a plan says it can detect is found in 80 of 100."""
    # The scatter of launch figures: of the launch, of 20 requests, and of the slow ones among these.
    scatter = math.hypot(cv, cv / math.sqrt(20), 0.17 * math.sqrt(0.01 / 20))
    cell = Expected(
        server="server",
        workload="workload",
        metric="decode_tps",
        startup_s=0.5,
        pass_s=0.5,
        tolerance=0.03,
        promise=0.001,
        cv=scatter,
        reference="launches",
        values=10,
    )
    (planned,) = plan_launches([cell], launches + 1.5, family=20).cells
    assert planned.launches == launches
    assert planned.drop is not None
    world = {"cv": cv, "cells": 1, "launches": launches}
    found = said(bench, world, planned.drop, "tokgate", runs=1000)["tokgate"].p_regressed
    assert 0.70 <= found <= 0.90


@pytest.mark.parametrize("seconds", [2000, 5400])
def test_error_rate_with_a_budget(bench: ModuleType, seconds: int) -> None:
    """5 servers of 4 workloads: planned, stopped early, and cut off (2000 s) by the suite's own budget."""
    runs = 150
    gates = importlib.import_module("gates")
    nights = importlib.import_module("nights").nights
    gate, wrong, launches = gates.budgeted(seconds), 0, 0
    for night in nights(bench.World(cv=0.02, launches=20), runs=runs, seed=SEED, drops=np.zeros(20)):
        said = gate(night)
        wrong += Outcome.REGRESSED in said.outcomes
        launches += said.launches
    assert at_most(0.01, wrong / runs, runs)
    assert 3 <= launches / runs <= 12


def test_mirrored_blocks_cancel_drift(bench: ModuleType) -> None:
    """One arm after the other does not."""
    rows = {
        (row.gate.split(" x ")[0], row.drift, row.true_drop): row for row in bench.experiments(runs=1000, seed=SEED)
    }
    for drift in (0.0, 0.03):
        row = rows["A B B A", drift, 0.0]
        assert at_most(0.05, row.p_regressed + row.p_pass, 1000)
    assert rows["A", 0.03, 0.0].p_regressed > 0.4
    assert rows["A B B A", 0.03, 0.05].p_regressed > 0.99


def test_the_script_writes_rows(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    command = [sys.executable, str(BENCH / "error_rates.py"), "--runs", "4", "--json", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Operating characteristic" in done.stdout
    rows = json.loads(file.read_text())
    assert {
        "gate", "cv", "drift", "true_drop", "launches", "runs", "p_regressed", "p_inconclusive", "p_pass",
    } == set(rows[0])  # fmt: skip
    assert all(row["p_regressed"] + row["p_inconclusive"] + row["p_pass"] == pytest.approx(1) for row in rows)


def duet_outcomes(bench: ModuleType, drop: float, runs: int, **world: Any) -> tuple[Counter[Outcome], float]:
    """What became of the first cell of `runs` duets, and the mean number of launch pairs until that was known."""
    simulation, rng = importlib.import_module("launch_pairs"), np.random.default_rng(SEED)
    results = [simulation.judge_duet(simulation.Duet(**world), rng, drop=drop) for _ in range(runs)]
    return Counter(outcomes[0] for outcomes, _ in results), sum(pairs for _, pairs in results) / runs


@pytest.mark.parametrize("sd", [0.02, 0.03, 0.05])
def test_false_alarms_of_duets(bench: ModuleType, sd: float) -> None:
    """An unchanged candidate beside its twin fails in 1 of 100; the upper end of the interval is below 2 of 100."""
    outcomes, _ = duet_outcomes(bench, 0.0, 1000, sd=sd, family=1)
    failed = outcomes[Outcome.REGRESSED]
    assert at_most(0.01, failed / 1000, 1000)
    assert binomtest(failed, 1000).proportion_ci(method="exact").high < 0.02


@pytest.mark.parametrize(
    ("drop", "sd", "outcome", "pairs"),
    [
        (0.0, 0.01, Outcome.PASS, 5),
        (0.0, 0.015, Outcome.PASS, 6),
        (0.05, 0.02, Outcome.REGRESSED, 9),
        (0.10, 0.02, Outcome.REGRESSED, 6),
    ],
)
def test_duets_are_decided_in_time(bench: ModuleType, drop: float, sd: float, outcome: Outcome, pairs: float) -> None:
    """At least 95 of 100 runs with four cells get this outcome, within this average number of launch pairs."""
    outcomes, mean = duet_outcomes(bench, drop, 400, sd=sd)
    assert outcomes[outcome] >= 0.95 * 400
    assert mean <= pairs


@pytest.mark.parametrize("sd", [0.02, 0.05])
def test_promised_drop_does_not_pass_a_duet(bench: ModuleType, sd: float) -> None:
    outcomes, _ = duet_outcomes(bench, 0.05, 1000, sd=sd)
    assert at_most(0.01, outcomes[Outcome.PASS] / 1000, 1000)


def test_claims_of_duets(bench: ModuleType) -> None:
    """A clear claim takes three or four launch pairs; where neither answer is right, 95 of 100 give none."""
    runs = 200
    rows = importlib.import_module("launch_pairs").claim_rows(runs=runs, seed=SEED)
    for row in rows:
        if row.true_drop == -0.5:
            assert row.p_pass == 1
            assert row.launches < 3.5
        elif row.true_drop == -0.1:
            assert at_most(0.05, row.p_pass + row.p_regressed, runs)
        else:
            wrong = row.p_pass if row.true_drop > -0.1 else row.p_regressed
            assert at_most(0.025, wrong, runs)
