"""The gate's rules, each outcome with the sentence that explains it, and what must never pass."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.config.metric import find_metric
from tokgate.judge.cell import Cell, Reference
from tokgate.judge.gate import confirm, judge, needs_confirmation
from tokgate.judge.stats import welch
from tokgate.judge.verdict import Outcome, Verdict

SHAPE = np.array([-0.9, 0.4, 1.1, -0.3, -0.6, 0.2, 0.8, -1.2, 0.1, 0.5])


def launches(mean: float, count: int = 5, cv: float = 0.005) -> tuple[float, ...]:
    """Figures about `mean` that scatter by about `cv`, the same every time."""
    return tuple((mean * np.exp(cv * SHAPE[:count])).tolist())


def cell(current: tuple[float, ...], metric: str = "decode_tps", **changes: Any) -> Cell:
    """A cell against ten launches about 24.0 with a CV of half a percent."""
    values: dict[str, Any] = {
        "server": "vllm-fp16",
        "workload": "short",
        "metric": metric,
        "current": current,
        "reference": Reference(kind="launches", values=launches(24.0, 10), label="the baseline of 2026-11-24"),
        "invalid": None,
        "tolerance": find_metric(metric).tolerance,
        "promise": find_metric(metric).promise,
    }
    return Cell(**(values | changes))


def verdict(one: Cell, **options: Any) -> Verdict:
    (only,) = judge([one], **options)
    return only


def numbers(said: Verdict) -> tuple[float, float, float]:
    """Lower end, ratio, upper end."""
    low, ratio, high = said.ci_low, said.ratio, said.ci_high
    assert isinstance(low, float)
    assert isinstance(ratio, float)
    assert isinstance(high, float)
    return low, ratio, high


def test_a_drop_beyond_the_tolerance_is_regressed() -> None:
    """A drop beyond the tolerance is a regression that needs a repeat launch."""
    said = verdict(cell(launches(22.0)))
    assert said.outcome is Outcome.REGRESSED
    assert needs_confirmation(said)
    low, ratio, high = numbers(said)
    assert ratio == pytest.approx(22 / 24, rel=1e-2)
    assert low < ratio < high < 1
    assert "decode_tps 21.99 tok/s over 5 launches, 24.00 tok/s in the baseline of 2026-11-24" in said.reason
    assert "8.4 % worse, which is beyond the tolerance of 3 %" in said.reason


def test_an_unchanged_cell_passes() -> None:
    """An unchanged cell passes because the promised drop is excluded."""
    said = verdict(cell(launches(24.0)))
    assert said.outcome is Outcome.PASS
    assert numbers(said)[0] > 0.95
    assert said.reason.endswith("a drop of 5 % is excluded")
    assert said.notes == ()


def test_a_small_real_drop_passes_with_a_note() -> None:
    said = verdict(cell(launches(23.6, cv=0.002), reference=quiet_reference()))
    assert said.outcome is Outcome.PASS
    assert said.notes == ("a drop of 1.7 % is real, but within the tolerance of 3 %",)


def quiet_reference() -> Reference:
    return Reference(kind="launches", values=launches(24.0, 10, cv=0.002), label="a quiet baseline")


def test_the_mirror_image_of_a_regression_is_improved() -> None:
    said = verdict(cell(launches(26.0)))
    assert said.outcome is Outcome.IMPROVED
    assert not needs_confirmation(said)
    assert "better, which is beyond the tolerance of 3 %" in said.reason


def test_too_much_scatter_is_inconclusive() -> None:
    """A cell that scatters too much is inconclusive, and the reason says how many launches would decide."""
    said = verdict(cell(launches(24.0, cv=0.05)), family=20)
    assert said.outcome is Outcome.INCONCLUSIVE
    assert said.min_detectable_drop is not None
    assert said.min_detectable_drop > 0.05
    assert "cannot tell: no regression is shown, and a drop of 5 % is not excluded" in said.reason
    assert "launches would decide" in said.reason


def test_a_small_drop_is_no_regression() -> None:
    """A drop between tolerance and noise is not called a regression."""
    said = verdict(cell(launches(23.0, cv=0.03)), family=20)
    assert said.outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("kind", ["launches", "nights", "figure"])
def test_one_launch_has_no_interval_and_never_passes(kind: Any) -> None:
    values = (24.0,) if kind == "figure" else launches(24.0, 10)
    for current in (24.0, 12.0, 48.0):
        said = verdict(cell((current,), reference=Reference(kind=kind, values=values, label="the baseline")))
        assert said.outcome is Outcome.INCONCLUSIVE
        assert (said.ci_low, said.ci_high, said.min_detectable_drop) == (None, None, None)
        assert "this run has only one value, so its scatter is unknown" in said.reason


def test_a_baseline_of_one_launch_has_no_spread() -> None:
    said = verdict(cell(launches(12.0), reference=Reference(kind="launches", values=(24.0,), label="one launch")))
    assert said.outcome is Outcome.INCONCLUSIVE
    assert "one launch has only one value, so its scatter is unknown" in said.reason


@pytest.mark.parametrize("bad", [(), (24.0, math.nan), (24.0, 0.0), (24.0, -1.0), (24.0, math.inf)])
def test_values_that_are_no_figures_are_invalid(bad: tuple[float, ...]) -> None:
    said = verdict(cell(bad))
    assert said.outcome is Outcome.INVALID
    assert said.reason.startswith("this run: ")
    reference = Reference(kind="launches", values=bad, label="the baseline of May")
    said = verdict(cell(launches(24.0), reference=reference))
    assert said.outcome is Outcome.INVALID
    assert said.reason.startswith("the baseline of May: ")


def test_an_invalid_measurement() -> None:
    """An invalid measurement says why, and is not compared."""
    said = verdict(cell(launches(24.0), invalid="c > 0 in sample 3"))
    assert (said.outcome, said.reason, said.ratio) == (Outcome.INVALID, "c > 0 in sample 3", None)


def test_without_a_baseline_the_figure_stands_alone() -> None:
    said = verdict(cell(launches(24.0), reference=None))
    assert said.outcome is Outcome.NO_BASELINE
    assert said.current == pytest.approx(24.0, rel=1e-2)
    assert "decode_tps 23.99 tok/s: there is no baseline" in said.reason


def test_for_times_more_is_worse() -> None:
    reference = Reference(kind="launches", values=launches(0.5, 10), label="the baseline")
    slower = verdict(cell(launches(0.6), "ttft_s", reference=reference))
    faster = verdict(cell(launches(0.4), "ttft_s", reference=reference))
    assert (slower.outcome, faster.outcome) == (Outcome.REGRESSED, Outcome.IMPROVED)
    low, ratio, high = numbers(slower)
    assert 1 < low < ratio < high


@given(st.floats(0.7, 1.3), st.floats(0.002, 0.05))
def test_a_time_and_its_rate_are_judged_alike(change: float, cv: float) -> None:
    current, reference = launches(24.0 * change, cv=cv), launches(24.0, 10)
    rate = verdict(cell(current, tolerance=0.05, promise=0.1))
    time = verdict(
        cell(
            tuple(1 / value for value in current),
            "tpot_s",
            tolerance=0.05,
            promise=0.1,
            reference=Reference(kind="launches", values=tuple(1 / v for v in reference), label="inverse"),
        )
    )
    assert time.outcome is rate.outcome
    assert time.ratio == pytest.approx(1 / (rate.ratio or 0))


@given(st.floats(0.5, 1.5), st.floats(0.001, 0.1), st.integers(2, 8))
def test_units_do_not_matter(change: float, cv: float, count: int) -> None:
    """Verdicts do not depend on units, and keep their rules."""
    one = cell(launches(24.0 * change, count, cv))
    said = verdict(one)
    assert one.reference is not None
    scaled = msgspec.structs.replace(
        one,
        current=tuple(1000 * value for value in one.current),
        reference=msgspec.structs.replace(one.reference, values=tuple(1000 * v for v in one.reference.values)),
    )
    assert verdict(scaled).outcome is said.outcome
    low, ratio, high = numbers(said)
    rules = {
        Outcome.REGRESSED: high < 1 and ratio < 0.97,
        Outcome.IMPROVED: low > 1 and ratio > 1 / 0.97,
        Outcome.PASS: low > 0.95,
        Outcome.INCONCLUSIVE: low <= 0.95,
    }
    assert rules[said.outcome]


FIGURE = Reference(kind="figure", values=(24.0,), label="the figure reported by the owner")


def test_published_figure() -> None:
    """Compared with a published figure, only a drop beyond the whole tolerance is a regression; the reason says so."""
    said = verdict(cell(launches(22.0), reference=FIGURE))
    assert said.outcome is Outcome.REGRESSED
    assert numbers(said)[2] < 0.97
    assert said.reason.endswith("it is based on one published figure, whose scatter is not known")
    near = verdict(cell(launches(23.2), reference=FIGURE))
    assert 0.97 < numbers(near)[2] < 1
    assert near.outcome is not Outcome.REGRESSED


def test_nights_give_a_prediction_interval() -> None:
    """A history of nights gives a prediction interval, and more launches do not help."""
    nights = Reference(kind="nights", values=launches(24.0, 10), label="the last 10 nights")
    assert verdict(cell(launches(22.0), reference=nights)).outcome is Outcome.REGRESSED
    noisy = msgspec.structs.replace(nights, values=launches(24.0, 10, cv=0.04))
    said = verdict(cell(launches(24.0), reference=noisy))
    assert said.outcome is Outcome.INCONCLUSIVE
    assert said.reason.endswith("only more nights would decide")


def test_a_baseline_that_is_too_small() -> None:
    """When no number of launches would decide, the reason names the small baseline."""
    small = Reference(kind="launches", values=(23.0, 25.0), label="two launches")
    said = verdict(cell(launches(24.0), reference=small))
    assert said.reason.endswith("only more launches of the baseline would decide")


def test_the_error_is_shared_by_holms_procedure() -> None:
    drops = [0.88, 0.978, 0.988, 1.0, 1.01]
    cells = [cell(launches(24.0 * drop)) for drop in drops]
    p = [welch(one.current, one.reference.values).p_below() for one in cells if one.reference]
    # Holm 1979, step by step: the smallest p against level / m, the next against level / (m - 1) ...
    rejected = 0
    for rank, value in enumerate(sorted(p)):
        if rejected == rank and value <= 0.01 / (len(p) - rank):
            rejected += 1
    assert 2 <= rejected < len(p)
    shares = [said.share for said in judge(cells, level=0.01)]
    assert {share for share, value in zip(shares, p, strict=True) if value > 0.01 / (len(p) - rejected)} == {
        0.01 / (len(p) - rejected)
    }
    assert shares[0] == 0.01 / len(p)


def test_cells_that_are_still_to_come_take_their_share() -> None:
    alone, of_twenty = verdict(cell(launches(22.0))), verdict(cell(launches(22.0)), family=20)
    assert (alone.share, of_twenty.share) == (0.01, 0.01 / 20)
    assert numbers(of_twenty)[0] < numbers(alone)[0]


def test_a_pass_shares_no_error() -> None:
    """A missed drop is an error of its own cell: the interval of a pass is the same in a run of any size."""
    alone, of_twenty = verdict(cell(launches(24.0))), verdict(cell(launches(24.0)), family=20)
    assert alone.outcome is of_twenty.outcome is Outcome.PASS
    assert numbers(of_twenty) == numbers(alone)
    assert "98 % interval" in of_twenty.reason


def test_cells_that_cannot_be_judged_take_no_share() -> None:
    *_, said = judge([cell(()), cell(launches(24.0), reference=None), cell(launches(24.0))])
    assert said.share == 0.01


@pytest.mark.parametrize("value", [0.0, 1.0, -0.1, math.nan])
def test_levels_must_be_fractions(value: float) -> None:
    """Levels and limits that are not fractions are rejected."""
    with pytest.raises(ValueError, match=f"level must be between 0 and 1, got {value!r}"):
        judge([], level=value)
    with pytest.raises(ValueError, match=f"promise must be between 0 and 1, got {value!r}"):
        judge([cell(launches(24.0), promise=value)])


def test_early_looks_need_more_evidence() -> None:
    """Early looks need more evidence, and before the third launch nothing is decided."""
    slower = launches(22.0, 10)
    levels = []
    for count in (3, 4, 5):
        said = verdict(cell(slower[:count], planned=5), family=20)
        levels.append(float(said.reason.split(" % interval")[0].rsplit(" ", 1)[1]))
    assert levels == sorted(levels, reverse=True)
    said = verdict(cell(slower[:2], planned=5))
    assert said.outcome is Outcome.INCONCLUSIVE
    assert "2 of 5 planned launches have run" in said.reason


def test_against_nights_only_the_last_look_decides() -> None:
    nights = Reference(kind="nights", values=launches(24.0, 10), label="the last 10 nights")
    for count, outcome in ((3, Outcome.INCONCLUSIVE), (5, Outcome.REGRESSED)):
        assert verdict(cell(launches(20.0, count), reference=nights, planned=5)).outcome is outcome


def test_a_slow_repeat_launch_confirms() -> None:
    """A repeat launch that is as slow confirms the regression and counts."""
    one = cell(launches(22.0))
    said = confirm(verdict(one), one.add_launch(22.1))
    assert said.outcome is Outcome.REGRESSED
    assert not needs_confirmation(said)
    assert said.launches == 6
    assert said.reproduced == pytest.approx(22.1 / 24.0, rel=1e-2)
    assert "and a repeat launch at 22.10 tok/s confirms it" in said.reason


def test_a_fast_repeat_launch_is_inconclusive() -> None:
    """A repeat launch as fast as the baseline makes the regression inconclusive."""
    one = cell(launches(22.0))
    said = confirm(verdict(one), one.add_launch(24.0))
    assert said.outcome is Outcome.INCONCLUSIVE
    assert "the first 5 launches looked worse, but a repeat launch at 24.00 tok/s did not confirm it" in said.reason
    between = confirm(verdict(one), one.add_launch(23.0))
    assert between.outcome is Outcome.INCONCLUSIVE
    assert between.reason.endswith("and a repeat launch at 23.00 tok/s was in between: cannot tell")


def test_confirmation_uses_the_level_of_the_run() -> None:
    """With the repeat launch, the launches must show the regression at the level of the run."""
    # Enough to ask for a fresh launch, and with one that is little slower not enough to fail.
    wide = Reference(kind="launches", values=launches(24.0, 10, 0.02), label="a noisy baseline")
    one = cell(launches(22.9, cv=0.015), reference=wide)
    screened = verdict(one, family=4)
    assert screened.outcome is Outcome.REGRESSED
    assert confirm(screened, one.add_launch(23.45)).outcome is Outcome.INCONCLUSIVE


def test_only_a_regression_can_be_confirmed() -> None:
    """Only a regression can be confirmed, and only once."""
    one = cell(launches(24.0))
    with pytest.raises(ValueError, match="this verdict is pass"):
        confirm(verdict(one), one.add_launch(24.0))
    slow = cell(launches(22.0))
    with pytest.raises(ValueError, match="this verdict is regressed"):
        confirm(confirm(verdict(slow), slow.add_launch(22.0)), slow.add_launch(22.0))


def test_a_bad_repeat_value_is_rejected() -> None:
    one = cell(launches(22.0))
    with pytest.raises(ValueError, match="value 5 is nan"):
        confirm(verdict(one), one.add_launch(math.nan))


def test_no_scatter_is_judged_by_the_ratio() -> None:
    same = Reference(kind="launches", values=(24.0,) * 10, label="the baseline")
    assert verdict(cell((6.26,) * 5, reference=same)).outcome is Outcome.REGRESSED
    assert verdict(cell((24.0,) * 5, reference=same)).outcome is Outcome.PASS
