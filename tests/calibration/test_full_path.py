"""The whole way from a server's tokens to a verdict, on a server whose true speed is known.

`test_error_rates` simulates the launches' values; here each comes through client, metrics and gate. The gate
is given them as they are: what a busy machine makes invalid is tested elsewhere.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tokgate.config.workload import Prompt, PromptSet, Workload
from tokgate.drive.truth.process import TruthServer
from tokgate.drive.truth.scenario import Scenario
from tokgate.judge.cell import Cell
from tokgate.judge.cell import Reference as Baseline
from tokgate.judge.gate import confirm, judge, needs_confirmation
from tokgate.judge.verdict import Outcome
from tokgate.launch.start import start
from tokgate.suite.case import measure_case
from tokgate.suite.instruments import Instruments
from tokgate.suite.plan import Case, make_attached_spec

pytestmark = pytest.mark.long

CV, NIGHTS, LAUNCHES = 0.01, 3, 5
Launches = Callable[[float, int], tuple[float, ...]]


@pytest.fixture
def launches(truth_server: TruthServer, tmp_path: Path) -> Launches:
    """Decode tok/s of so many launches of a server that lost a fraction of its speed; seeded launch noise."""
    spec, noise = make_attached_spec(truth_server.url, "reference"), random.Random(20261125)
    prompts = PromptSet(name="p", sha256="", prompts=(Prompt(id="p", messages=({"role": "user", "content": "go"},)),))
    workload = Workload(name="w", description="", prompts="p", requests=2, max_tokens=40)
    cell = Case(server=spec, workload=workload, prompts=prompts)

    def measured(drop: float, count: int) -> tuple[float, ...]:
        values = []
        for launch in range(1, count + 1):
            slowdown = noise.lognormvariate(0, CV) / (1 - drop)
            truth_server.serve(Scenario(ttft_s=0.02, itl_s=0.003, jitter=0.1, slowdown=slowdown))
            with start(spec, log_dir=tmp_path) as server:
                found = measure_case(server, cell, Instruments(), launch=launch, watch=lambda *_: None)
            values.append(found.gated["decode_tps"])
        return tuple(values)

    return measured


@pytest.mark.parametrize(("drop", "found"), [(0.0, 0), (0.1, NIGHTS)], ids=["unchanged", "ten-percent-slower"])
def test_nights_of_known_speed(launches: Launches, drop: float, found: int) -> None:
    reference = Baseline(kind="launches", values=launches(0.0, 10), label="the baseline")
    outcomes: Counter[Outcome] = Counter()
    for _ in range(NIGHTS):
        one = Cell(
            server="reference",
            workload="w",
            metric="decode_tps",
            current=launches(drop, LAUNCHES),
            reference=reference,
            invalid=None,
            tolerance=0.03,
            promise=0.05,
        )
        (verdict,) = judge([one])
        if needs_confirmation(verdict):
            verdict = confirm(verdict, one.add_launch(launches(drop, 1)[0]))
        outcomes[verdict.outcome] += 1
    assert outcomes[Outcome.REGRESSED] == pytest.approx(found, abs=found / 3), outcomes
    if drop:
        assert Outcome.PASS not in outcomes
