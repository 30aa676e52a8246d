#!/usr/bin/env python3
"""A simulated fortnight of the gfx1151 profile: what is covered, whether anything ends late, and how often it is wrong.

    .venv/bin/python bench/fortnight.py [--fortnights 1] [--budget 7h] [--drop 0.1] [--json FILE]

Each night is a real run of the suite (plan, budget, rotation, evidence, gate, hypotheses, record), except that servers and
the clock are simulated: servers work at the reported rates, else at what the roofline allows, launches and nights scatter,
and each server takes up to 40 % more or less time than the plan assumes. A baseline is accepted from the first night
of each server, as its owner would. From the eighth night on, one server is slower by the drop.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from simulated import Clock, SimulatedLive, compute_value

from tokgate._exceptions import NotChecked
from tokgate.config.catalogue import Catalogue
from tokgate.config.units import Duration
from tokgate.engines.specs import open_catalogue
from tokgate.judge.blocks import Block
from tokgate.judge.cell import CaseKey
from tokgate.judge.hypothesis import decide
from tokgate.judge.plan import MOST_LAUNCHES
from tokgate.judge.verdict import Outcome, Verdict
from tokgate.store.baselines import make_candidates, write_baseline
from tokgate.store.runs import RunRecord, RunWriter
from tokgate.suite.agenda import make_units
from tokgate.suite.budget import LEAST_BLOCKS, Budget
from tokgate.suite.experiment import find_metric as find_claimed
from tokgate.suite.known import Standing, make_standing
from tokgate.suite.outlook import Outlook
from tokgate.suite.past import Past
from tokgate.suite.plan import Experiment, RunPlan, plan_run
from tokgate.suite.preview import estimate_selection, select_all
from tokgate.suite.record import make_first_record
from tokgate.suite.reference import References
from tokgate.suite.session import Session
from tokgate.suite.verdicts import Verdicts

NIGHTS = 14
SLOWER_FROM = 8  # the first night on which one server is slower
SLOWER = "llamacpp-rocm"  # no hypothesis is about it
FIRST_NIGHT = datetime(2026, 3, 1, 1, tzinfo=UTC)


def simulate_night(plan: RunPlan, folder: Path, *, night: int, seed: int, drop: float) -> tuple[RunWriter, float]:
    """One night: its record, and the simulated seconds that it took."""
    started = FIRST_NIGHT + timedelta(days=night - 1)
    runs, baselines = folder / "runs", folder / "baselines"
    path = runs / f"{started:%Y%m%dT%H%M%SZ}-{seed:06x}"
    path.mkdir(parents=True)
    record = make_first_record(plan, run_id=path.name, command=())
    record = msgspec.structs.replace(record, started=started.isoformat(timespec="milliseconds"))
    selected, writer, past = select_all(plan), RunWriter(path, record), Past(runs, record)
    outlook = Outlook(
        record=record,
        past=past,
        references=References(baselines / record.baselines, record, past),
        standing={e.hypothesis.name: _find_standing(e, past, record, plan) for e in selected.experiments},
    )
    estimates, clock = estimate_selection(plan, selected, outlook), Clock()
    assert plan.budget_s is not None
    budget = Budget(
        plan.budget_s,
        estimates.cells,
        make_units(plan, estimates, outlook),
        timed=estimates.timed,
        family=len(selected.family),
        clock=clock,
    )
    slower = {SLOWER: drop} if night >= SLOWER_FROM else {}
    live = SimulatedLive(writer, clock, random.Random(seed * 100 + night), started=started, slower=slower)
    verdicts = Verdicts(plan, selected.family, outlook.references)
    with Session(plan, writer, verdicts, budget, outlook, observer=live.observer, live=live, clock=clock) as session:
        order = sorted(
            ((case, launch) for case in selected.cases for launch in range(1, MOST_LAUNCHES + 2)),
            key=lambda at: budget.rank(*at),
        )
        for case, launch in order:
            if case in budget.tonight and session.why_not(case, launch) is None:
                session.measure_case(case, launch)
        by_urgency = sorted(selected.experiments, key=lambda e: budget.order(e.hypothesis.name))
        for experiment in by_urgency:
            with suppress(NotChecked):
                session.experiment(experiment, blocks=LEAST_BLOCKS)
        for key in selected.family:
            with suppress(NotChecked):
                session.verdict(key)
    writer.end()
    return writer, clock.now_s


def _find_standing(experiment: Experiment, past: Past, record: RunRecord, plan: RunPlan) -> Standing:
    """As `find_standing`, with images and models that never change."""
    earlier = past.last.hypotheses.get(experiment.hypothesis.name)
    shelf_life_s = float(plan.profile.shelf_life)
    return make_standing({"simulated": "unchanged"}, earlier, record, shelf_life_s=shelf_life_s, again=False)


def accept_first_nights(writer: RunWriter, folder: Path) -> None:
    """Make this night the baseline of each workload that has no measured one."""
    done = {(run.server, run.workload) for run in writer.record.measurements}
    servers = sorted({server for server, _ in done if "/" not in server})
    for path, candidate in make_candidates([writer.record], folder / "baselines", servers=servers).items():
        old = candidate.old
        if old is not None and old.provenance == "measured" and set(candidate.new.cells) <= set(old.cells):
            continue
        if old is not None and old.provenance == "measured":  # what it has stays
            cells = {**candidate.new.cells, **old.cells}
            write_baseline(path, msgspec.structs.replace(candidate.new, cells=cells))
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_baseline(path, candidate.accept("simulated"))


def find_truth(experiment: Experiment) -> Outcome | None:
    """What the claim's verdict would be without noise; None for claims that no ratio decides."""
    claim = experiment.hypothesis.claim
    if len(experiment.arms) < 2 or claim.fails is not None or claim.untreated:
        return None
    metric, names = find_claimed(experiment), tuple(experiment.arms)
    values = {name: compute_value(case, metric, 0.0) for name, case in experiment.arms.items()}
    order = (*names, *reversed(names))
    wiggle = (1.0, 1.0001)
    blocks = [Block(arms=names, values=tuple(values[name] * wiggle[at % 2] for name in order)) for at in range(6)]
    return decide(experiment.hypothesis, blocks).outcome


class Tally:
    """What the nights of a fortnight covered, and how often they were right. truth: by hypothesis, its right outcome."""

    def __init__(self, plan: RunPlan, truth: Mapping[str, Outcome | None]) -> None:
        self.truth = truth
        self.waiting = {CaseKey(case.server.name, case.workload.name) for case in plan.cases} | set(truth)
        self.covered: int | None = None
        self.found: int | None = None
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []

    def add(self, night: int, record: RunRecord) -> None:
        self.waiting -= {CaseKey(run.server, run.workload) for run in record.measurements}
        self.waiting -= {verdict.hypothesis for verdict in record.verdicts if verdict.hypothesis}
        if not self.waiting:
            self.covered = self.covered or night
        false_alarms = [self._count(night, verdict) for verdict in record.verdicts if verdict.kind == "gate"]
        self.counts["false_alarm_nights"] += any(false_alarms)
        for verdict in record.verdicts:
            if verdict.hypothesis and verdict.known is None:
                self._count_claim(night, verdict)

    def _count(self, night: int, verdict: Verdict) -> bool:
        """Whether a verdict of the gate is a false alarm."""
        self.counts[f"gate_{verdict.outcome}"] += 1
        if verdict.outcome is not Outcome.REGRESSED:
            return False
        if night >= SLOWER_FROM and verdict.server == SLOWER:
            self.found = self.found or night
            return False
        self.wrong.append(f"night {night}: {verdict.server} × {verdict.workload} {verdict.metric}: false alarm")
        return True

    def _count_claim(self, night: int, verdict: Verdict) -> None:
        right = self.truth[str(verdict.hypothesis)]
        self.counts["claims_tested"] += 1
        if {right, verdict.outcome} == {Outcome.CONFIRMED, Outcome.REFUTED}:
            self.wrong.append(f"night {night}: {verdict.hypothesis}: {verdict.outcome}, truly {right}")


def simulate_fortnight(catalogue: Catalogue, budget_s: float, *, seed: int, drop: float) -> dict[str, Any]:
    """Two weeks of nights, as a row for the table."""
    plan = plan_run(catalogue, profile="gfx1151", budget=budget_s)
    tally = Tally(plan, {experiment.hypothesis.name: find_truth(experiment) for experiment in plan.experiments})
    hours: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(Path(__file__).parents[1] / "baselines", folder / "baselines")
        for night in range(1, NIGHTS + 1):
            writer, seconds = simulate_night(plan, folder, night=night, seed=seed, drop=drop)
            tally.add(night, writer.record)
            hours.append(seconds / 3600)
            accept_first_nights(writer, folder)
    return {
        "seed": seed,
        "covered_after_nights": tally.covered,
        "not_covered": sorted(map(str, tally.waiting)),
        "late_nights": sum(of_night * 3600 > budget_s for of_night in hours),
        "longest_h": round(max(hours), 2),
        "slower_found_in_night": tally.found,
        **tally.counts,
        "wrong": tally.wrong,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fortnights", type=int, default=1)
    parser.add_argument("--budget", default="7h")
    parser.add_argument(
        "--drop", type=float, default=0.1, help="how much slower one server is from the eighth night on"
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    catalogue = open_catalogue(Path(__file__).parents[1] / "fixtures")
    rows = []
    for seed in range(1, options.fortnights + 1):
        rows.append(simulate_fortnight(catalogue, float(Duration.parse(options.budget)), seed=seed, drop=options.drop))
        print(rows[-1], file=sys.stderr, flush=True)
        if options.json:
            options.json.write_text(json.dumps(rows, indent=1) + "\n")
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
