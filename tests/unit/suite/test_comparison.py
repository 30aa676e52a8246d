"""A comparison launches its arms in the order it is told, on a stand-in for live servers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tokgate._exceptions import ImageMissing, LaunchError
from tokgate.config.catalogue import Catalogue
from tokgate.judge.blocks import Block, OutOfTime, Unmeasured
from tokgate.measure.measurement import Measurement, Problem
from tokgate.suite.comparison import ArmFailed, ArmNotTried, Comparison
from tokgate.suite.plan import Case

CATALOGUE = Catalogue(Path(__file__).parents[3] / "fixtures")
VALUES = {"x/a": 10.0, "x/b": 20.0, "x/c": 30.0}


class FakeLive:
    """Notes what is started and measured; `invalid` launches are not valid, `broken` servers do not start."""

    def __init__(self, measurement: Measurement) -> None:
        self.measurement = measurement
        self.log: list[str] = []
        self.kept: list[Measurement] = []
        self.invalid: set[tuple[str, int]] = set()
        self.broken: dict[str, LaunchError] = {}
        self.live = ""

    def start(self, spec: Any, launch: int) -> Any:
        if spec.name in self.broken:
            raise self.broken[spec.name]
        if self.live != f"{spec.name} {launch}":
            self.live = f"{spec.name} {launch}"
            self.log.append(f"start {self.live}")
        return spec.name

    def measure(self, case: Case, launch: int) -> Measurement:
        name = case.server.name
        assert self.live == f"{name} {launch}"
        valid = (name, launch) not in self.invalid
        self.kept.append(
            msgspec.structs.replace(
                self.measurement,
                server=name,
                valid=valid,
                problems=() if valid else (Problem(rule="host_busy", detail="others ran"),),
                gated={"decode_tps": VALUES[name]},
            )
        )
        return self.kept[-1]

    def stop(self) -> None:
        self.live = ""


@pytest.fixture
def live(bare_measurement: Measurement) -> FakeLive:
    return FakeLive(bare_measurement)


def compare(live: FakeLive, arms: str = "ab", **options: Any) -> Comparison:
    server = CATALOGUE.server("embedded-smollm2")
    workload = CATALOGUE.workload("chat-c1")
    cases = {
        arm: Case(
            server=msgspec.structs.replace(server, name=f"x/{arm}"),
            workload=workload,
            prompts=CATALOGUE.prompts(workload.prompts),
        )
        for arm in arms
    }
    return Comparison(cases, live, **{"metric": "decode_tps", "goes_on": lambda _: True} | options)  # type: ignore[arg-type]


def test_a_block_is_mirrored(live: FakeLive) -> None:
    """Three arms: each on two new launches, and every measurement is kept."""
    block = compare(live, "abc").measure_block(("c", "a", "b"))
    assert block == Block(arms=("c", "a", "b"), values=(30.0, 10.0, 20.0, 20.0, 10.0, 30.0))
    starts = ["x/c 1", "x/a 1", "x/b 1", "x/b 2", "x/a 2", "x/c 2"]
    assert live.log == [f"start {name}" for name in starts]
    assert [one.server for one in live.kept] == [name.split()[0] for name in starts]


def test_looking_inside_costs_one_start_less(live: FakeLive) -> None:
    """The first arm of the block starts last and is then measured without another start."""
    comparison = compare(live, "abc")
    looks = comparison.look_inside(("b", "a", "c"))
    assert list(looks) == ["a", "b", "c"], "in the order of the arms"
    assert live.log == ["start x/c 0", "start x/a 0", "start x/b 1"]
    comparison.measure("b")
    assert len(live.log) == 3


def test_an_invalid_launch_is_repeated(live: FakeLive) -> None:
    live.invalid = {("x/a", 1), ("x/a", 2)}
    assert compare(live, tries=3).measure_value("a") == 10.0
    assert len(live.kept) == 3
    live.invalid = {("x/b", 1), ("x/b", 2)}
    with pytest.raises(Unmeasured, match=r"b: none of 2 launches was valid; launch 2 is .* host_busy: others ran"):
        compare(live, tries=2).measure("b")


def test_without_tries_one_invalid_launch_ends_it(live: FakeLive) -> None:
    live.invalid = {("x/a", 1)}
    with pytest.raises(Unmeasured, match="a: launch 1 is not valid: host_busy: others ran"):
        compare(live).measure_block(("a", "b"))
    with pytest.raises(Unmeasured, match="launch 1 is not valid: no ttft_s"):
        compare(live, metric="ttft_s").measure("b")


def test_time_is_asked_before_each_launch(live: FakeLive) -> None:
    asked: list[int] = []

    def goes_on(launches: int) -> bool:
        asked.append(launches)
        return launches < 3

    with pytest.raises(OutOfTime):
        compare(live, goes_on=goes_on).measure_block(("a", "b"))
    assert asked == [0, 1, 2, 3]
    assert len(live.kept) == 3


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (LaunchError("no such option", server="x/b"), ArmFailed),
        (ImageMissing("not here", server="x/b"), ArmNotTried),
    ],
)
def test_an_arm_that_does_not_start(live: FakeLive, error: LaunchError, raised: type[Exception]) -> None:
    """A missing image is the machine's fault, not the arm's."""
    live.broken = {"x/b": error}
    with pytest.raises(raised) as caught:
        compare(live).measure_block(("a", "b"))
    assert caught.value.arm == "b"  # type: ignore[attr-defined]
    assert str(error) in str(caught.value)


def test_a_design_decides_how_a_block_is_measured(live: FakeLive) -> None:
    design: Callable[[Comparison, tuple[str, ...]], Block] = lambda comparison, order: Block(  # noqa: E731
        arms=order, values=tuple(comparison.measure_value(arm) for arm in order)
    )
    assert compare(live, design=design).measure_block(("b", "a")).values == (20.0, 10.0)
