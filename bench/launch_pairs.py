"""Simulate duets on a restless machine, and what gate and claim say about them, with their real code."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from functools import partial

import msgspec
import numpy as np
from pages import Row

from tokgate.config.hypothesis import Arm, Claim, Hypothesis
from tokgate.config.words import format_count
from tokgate.judge.blocks import Block, pair_rounds
from tokgate.judge.cell import Cell, Reference
from tokgate.judge.hypothesis import decide
from tokgate.judge.looks import Looks
from tokgate.judge.verdict import Outcome

ARMS = ("beside", "current")
DRIFT = 0.30  # how much slower, or faster, the machine is at the end of a run
BURSTS = 0.20  # share of the rounds in which another process slows both arms, by up to DEEPEST
HALF_BURSTS = 0.02  # share of the requests that a burst slows without their partner
DEEPEST = 0.5
BOUND = 1.1
"""The claim that is tested: B is more than this times as fast as A."""

SEVERITY = (Outcome.IMPROVED, Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.REGRESSED)

SDS = (0.01, 0.02, 0.03)
STRESS_SD = 0.05
FAMILIES = (1, 4, 9)
PLANS = (8, 10, 12)
USUAL = 10  # launch pairs of a plan


class Duet(msgspec.Struct, frozen=True, kw_only=True):
    """Launch pairs of a candidate and another server, and the gate that judges them.

    sd: standard deviation of the log ratio between launch pairs; each request varies again by as much.
    cells: simulated; the first is slower by the drop.
    family: cells of the run.
    planned: the most launch pairs, without the confirming one.
    """

    sd: float
    cells: int = 1
    family: int = 4
    planned: int = USUAL
    rounds: int = 12
    tolerance: float = 0.03
    promise: float = 0.05

    @property
    def name(self) -> str:
        limits = f"{100 * self.tolerance:g} % / {100 * self.promise:g} %"
        cells = format_count(self.family, "cell")
        return f"duet, {cells}, plan of {self.planned}, {self.rounds} rounds, {limits}"


def launch_pairs(duet: Duet, rng: np.random.Generator, *, drop: float) -> Iterator[tuple[Block, ...]]:
    """One launch pair after another: a block for each cell, rates about 1."""
    shape = (duet.cells, duet.planned + 1, duet.rounds, 2)
    launch = rng.normal(0.0, duet.sd / math.sqrt(2), (duet.cells, duet.planned + 1, 1, 2))
    logs = launch + rng.normal(0.0, duet.sd, shape)
    logs[0, ..., 1] += math.log1p(-drop)
    machine = np.linspace(0.0, rng.choice([-1, 1]) * math.log1p(-DRIFT), math.prod(shape[1:])).reshape(shape[1:])
    # The arms take turns in being first, from an arm drawn for each launch pair.
    swapped = (np.arange(duet.rounds) + rng.integers(0, 2, (duet.planned + 1, 1))) % 2 == 1
    machine[swapped] = machine[swapped][:, ::-1]
    logs += machine
    logs += np.log1p(-rng.uniform(0, DEEPEST, shape[:3])[..., None]) * (rng.random(shape[:3]) < BURSTS)[..., None]
    logs += np.log1p(-rng.uniform(0, DEEPEST, shape)) * (rng.random(shape) < HALF_BURSTS)
    rates = np.exp(logs).transpose(1, 0, 3, 2).tolist()
    for cells in rates:
        yield tuple(pair_rounds(dict(zip(ARMS, arms, strict=True)), ARMS) for arms in cells)


def judge_duet(duet: Duet, rng: np.random.Generator, *, drop: float) -> tuple[tuple[Outcome, ...], int]:
    """The outcomes of one run, and the launch pairs until its first cell was decided."""
    looks, count = Looks(family=duet.family), 0
    cells = [_cell(duet, str(index)) for index in range(duet.cells)]
    for blocks in launch_pairs(duet, rng, drop=drop):
        count += cells[0].key not in looks.decided
        cells = [
            cell if cell.key in looks.decided else cell.add_launch(block.values[1], block.values[0])
            for cell, block in zip(cells, blocks, strict=True)
        ]
        looks.look(cells)
        if len(looks.decided) == len(cells):
            break
    return tuple(looks.decided[cell.key].outcome for cell in cells), count


def _cell(duet: Duet, workload: str) -> Cell:
    return Cell(
        server="candidate",
        workload=workload,
        metric="decode_tps",
        current=(),
        reference=Reference(kind="pairs", values=(), label="the other server", design="duet"),
        invalid=None,
        tolerance=duet.tolerance,
        promise=duet.promise,
        planned=duet.planned,
    )


def duets() -> Iterator[tuple[Duet, float]]:
    """Scenarios and their drops, in an order that fixes their seeds."""
    for family in FAMILIES:
        for sd in (*SDS, STRESS_SD):
            yield Duet(sd=sd, cells=family, family=family), 0.0
        for duet in (Duet(sd=sd, family=family) for sd in SDS):
            yield duet, duet.promise
            yield duet, 2 * duet.promise
    others = [partial(Duet, planned=planned) for planned in PLANS if planned != USUAL]
    others += [partial(Duet, rounds=3), partial(Duet, tolerance=0.08, promise=0.12)]
    for duet in (other(sd=sd) for other in others for sd in SDS):
        for drop in (0.0, duet.promise, 2 * duet.promise):
            yield duet, drop


def duet_rows(*, runs: int, seed: int) -> Iterator[Row]:
    """A row for the first cell and, where nothing changed, one for the whole run."""
    for number, (duet, drop) in enumerate(duets()):
        rng = np.random.default_rng(seed + number)
        results = [judge_duet(duet, rng, drop=drop) for _ in range(runs)]
        pairs = sum(count for _, count in results) / runs
        yield _row(duet.name, duet.sd, drop, pairs, Counter(outcomes[0] for outcomes, _ in results))
        if duet.cells == duet.family and not drop:
            whole = Counter(max(outcomes, key=SEVERITY.index) for outcomes, _ in results)
            yield _row(f"{duet.name}, whole runs", duet.sd, drop, pairs, whole)


def claim_rows(*, runs: int, seed: int) -> Iterator[Row]:
    """Is B more than BOUND times as fast as A? A confirmed claim counts as passed, a refuted one as regressed."""
    question = Hypothesis(
        title=f"B is more than {BOUND} times as fast as A",
        source="this simulation",
        a=Arm(server="a"),
        b=Arm(server="b"),
        workload="workload",
        claim=Claim(metric="decode_tps", above=BOUND),
        rival="it is not",
    )
    meaning = {Outcome.CONFIRMED: Outcome.PASS, Outcome.REFUTED: Outcome.REGRESSED}
    scenarios = [(planned, sd, ratio) for planned in PLANS[:2] for sd in SDS for ratio in (1.5, 1.2, 1.15, 1.1, 1.0)]
    for number, (planned, sd, ratio) in enumerate(scenarios):
        rng, outcomes, spent = np.random.default_rng(seed + number), Counter[Outcome](), 0
        for _ in range(runs):
            blocks: list[Block] = []
            # Without the launch pair that would confirm a regression.
            for (block,) in launch_pairs(Duet(sd=sd, planned=planned - 1), rng, drop=1 - ratio):
                blocks.append(Block(arms=("a", "b"), values=block.values))
                outcome = decide(question, blocks, planned=planned).outcome
                if outcome in meaning:
                    break
            outcomes[meaning.get(outcome, outcome)] += 1
            spent += len(blocks)
        yield _row(f"duet, above {BOUND:g}, plan of {planned}", sd, 1 - ratio, spent / runs, outcomes)


def _row(gate: str, sd: float, drop: float, pairs: float, counts: Counter[Outcome]) -> Row:
    runs = counts.total()
    return Row(
        gate=gate,
        cv=sd,
        drift=DRIFT,
        true_drop=round(drop, 4),
        launches=round(pairs, 2),
        runs=runs,
        p_regressed=counts[Outcome.REGRESSED] / runs,
        p_inconclusive=counts[Outcome.INCONCLUSIVE] / runs,
        p_pass=(counts[Outcome.PASS] + counts[Outcome.IMPROVED]) / runs,
    )
