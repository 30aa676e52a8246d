"""The scatter of launches and runs, and the drop that a stored baseline detects with it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.judge.plan import Expected, plan_fixed
from tokgate.judge.steadiness import LAUNCHES, assess_steadiness, describe_steadiness

Cells = list[list[tuple[float, ...]]]


def simulate(cells: int, runs: int, *, launch_cv: float, run_cv: float = 0.0, seed: int = 1) -> Cells:
    """Cells of about 100 tok/s, five launches in each run."""
    rng = np.random.default_rng(seed)
    return [
        [tuple(100 * np.exp(rng.normal(rng.normal(0, run_cv), launch_cv, LAUNCHES))) for _ in range(runs)]
        for _ in range(cells)
    ]


@pytest.mark.parametrize(("launch_cv", "run_cv"), [(0.01, 0.0), (0.01, 0.05), (0.04, 0.02)])
def test_both_kinds_of_scatter_are_found(launch_cv: float, run_cv: float) -> None:
    """Scatter within runs and between them, each beside the other."""
    steadiness = assess_steadiness(simulate(4, 100, launch_cv=launch_cv, run_cv=run_cv), family=4)
    assert steadiness is not None
    assert steadiness.launch_cv == pytest.approx(launch_cv, rel=0.1)
    assert steadiness.run_cv == pytest.approx(run_cv, rel=0.15, abs=0.005)
    assert (steadiness.launches, steadiness.runs) == (4 * 100 * LAUNCHES, 100)


def test_drop_is_that_of_a_planned_run() -> None:
    """Where runs do not scatter, the drop is what --tokgate-plan shows for the same cell."""
    steadiness = assess_steadiness(simulate(1, 2, launch_cv=0.02), family=3)
    assert steadiness is not None
    assert steadiness.run_cv is None
    cell = Expected(
        server="s",
        workload="w",
        metric="decode_tps",
        startup_s=1.0,
        pass_s=1.0,
        tolerance=0.03,
        promise=0.05,
        cv=steadiness.launch_cv,
        reference="launches",
        values=10,
    )
    (planned,) = plan_fixed([cell], LAUNCHES, family=3).cells
    assert steadiness.drop == pytest.approx(planned.drop)


def test_a_machine_that_drifts_needs_a_pair() -> None:
    """Scatter between runs hides drops from a stored baseline, however alike the launches of a run are."""
    steady = assess_steadiness(simulate(4, 20, launch_cv=0.01), family=9)
    drifting = assess_steadiness(simulate(4, 20, launch_cv=0.01, run_cv=0.08), family=9)
    assert steady is not None
    assert drifting is not None
    assert steady.is_steady
    assert not drifting.is_steady
    assert drifting.drop > 3 * steady.drop
    assert describe_steadiness(steady).endswith("which is enough")
    assert describe_steadiness(drifting).endswith("use --tokgate-against for smaller ones")


@pytest.mark.parametrize("cells", [[], [[(100.0,)]], [[(100.0,), (90.0,)]]])
def test_single_launches_show_no_scatter(cells: Cells) -> None:
    assert assess_steadiness(cells, family=1) is None


@given(st.floats(0.001, 0.5), st.integers(1, 60), st.floats(1.01, 5.0))
def test_drop_grows_with_the_scatter(spread: float, family: int, factor: float) -> None:
    """And lies between the tolerance and a complete stop, whatever the unit of the values."""
    few, more = (
        assess_steadiness([[tuple(np.exp(width * np.array([-1.0, 0.0, 1.0])))]], family=family)
        for width in (spread, factor * spread)
    )
    assert few is not None
    assert more is not None
    assert 0.03 < few.drop <= more.drop <= 1
