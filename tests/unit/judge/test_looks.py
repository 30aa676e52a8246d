"""Verdicts as launches come in."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from tokgate.judge.cell import Cell, CellKey, Reference
from tokgate.judge.looks import Looks
from tokgate.judge.verdict import Outcome

KEY = CellKey("a", "chat", "decode_tps")

BASELINE = (100.0, 100.4, 99.7, 100.1, 99.8, 100.3, 99.6, 100.2, 99.9, 100.0)
QUIET = (100.1, 99.8, 100.2, 99.9, 100.0, 100.1, 99.9)


def cell(current: tuple[float, ...], *, planned: int | None = 6, workload: str = "chat", **changes: Any) -> Cell:
    values: dict[str, Any] = {
        "server": "a",
        "workload": workload,
        "metric": "decode_tps",
        "current": current,
        "reference": Reference(kind="launches", values=BASELINE, label="the baseline"),
        "invalid": None,
        "tolerance": 0.03,
        "promise": 0.05,
        "planned": planned,
    }
    return Cell(**(values | changes))


def looked(values: tuple[float, ...], **changes: Any) -> tuple[Looks, list[Outcome | None]]:
    """What was decided after each launch of `values`."""
    looks, said = Looks(family=1), []
    for launches in range(1, len(values) + 1):
        one = cell(values[:launches], **changes)
        looks.look([one])
        verdict = looks.decided.get(one.key)
        said.append(verdict.outcome if verdict else None)
    return looks, said


def test_a_clear_cell_is_decided_at_once() -> None:
    """A clear cell is decided at the first look, and the decision stays."""
    looks, said = looked(QUIET)
    assert said == [None, None, *[Outcome.PASS] * 5]
    assert looks.decided[KEY].launches == 3


def test_a_regression_waits_for_its_fresh_launch() -> None:
    slow = tuple(0.85 * value for value in QUIET)
    looks, said = looked(slow[:3])
    assert said[-1] is None
    assert looks.awaiting == (KEY,)
    looks.look([cell(slow[:4])])
    verdict = looks.decided[KEY]
    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.launches == 4
    assert not looks.awaiting


def test_an_unconfirmed_regression_goes_on() -> None:
    """A repeat launch that does not confirm a regression counts as the next one of the plan."""
    looks, said = looked((85.0, 85.1, 84.9, 100.0))
    assert said[-1] is None
    assert not looks.awaiting
    _, said = looked((85.0, 85.1, 84.9, 100.0), planned=3)
    assert said[-1] is Outcome.INCONCLUSIVE


def test_an_invalid_repeat_launch() -> None:
    """A repeat launch that is not valid makes the cell invalid."""
    looks, _ = looked((85.0, 85.1, 84.9))
    looks.look([cell((85.0, 85.1, 84.9), invalid="launch 4: host_busy: a compiler ran")])
    verdict = looks.decided[KEY]
    assert verdict.outcome is Outcome.INVALID
    assert verdict.reason.endswith("was not valid: launch 4: host_busy: a compiler ran")


def test_one_look_without_early_stopping() -> None:
    """Without early stopping, the first look is the last."""
    noisy = (100.0, 90.0, 110.0)
    looks = Looks(family=1)
    looks.look([cell(noisy, planned=None)])
    assert looks.decided[KEY].outcome is Outcome.INCONCLUSIVE


def test_without_a_baseline_all_launches_run() -> None:
    """A cell without a baseline runs to the end of its plan."""
    _, said = looked(QUIET[:6], reference=None)
    assert said == [None] * 5 + [Outcome.NO_BASELINE]


def test_an_invalid_cell_ends_at_once() -> None:
    _, said = looked(QUIET[:1], invalid="launch 1 failed: no image")
    assert said == [Outcome.INVALID]


def test_a_run_cut_off_decides_by_what_it_has() -> None:
    looks = Looks(family=2)
    clear, early = cell(QUIET[:4], workload="clear"), cell((85.0, 85.1, 84.9), workload="early")
    looks.look([early])
    assert looks.awaiting
    looks.end([clear, early], why="the budget was spent")
    assert looks.decided[clear.key].outcome is Outcome.PASS
    verdict = looks.decided[early.key]
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.reason.endswith("there was no repeat launch to confirm it: the budget was spent")
    assert not looks.awaiting


@pytest.mark.parametrize("planned", [5, 8])
def test_families_cut_off_anywhere_keep_their_error(planned: int) -> None:
    """Nothing changed in 10 cells; the time ends after some launch or none: at most 1 run in 100 is wrong."""
    rng = np.random.default_rng(20261125)
    runs, wrong = 400, 0
    for _ in range(runs):
        baseline, current = (np.exp(rng.normal(0.0, 0.02, (10, n))) for n in (10, planned + 1))
        cells = [
            cell(
                (),
                planned=planned,
                workload=str(index),
                reference=Reference(kind="launches", values=tuple(baseline[index]), label="b"),
            )
            for index in range(10)
        ]
        ends = int(rng.integers(1, planned + 2))
        looks = Looks(family=10)
        have = cells
        for launches in range(1, ends + 1):
            going = [one for one in cells if one.key not in looks.decided]
            have = [msgspec.structs.replace(one, current=tuple(current[int(one.workload), :launches])) for one in going]
            looks.look(have)
        looks.end([one for one in have if one.key not in looks.decided], why="time")
        assert len(looks.decided) == 10
        wrong += any(verdict.outcome is Outcome.REGRESSED for verdict in looks.decided.values())
    assert wrong <= 12  # P(more | 1 %) < 0.001
