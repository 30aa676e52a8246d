"""A comparison launches its arms together or in the order it is told, on a stand-in for live servers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tokgate._exceptions import ImageMissing, LaunchError
from tokgate.config.catalogue import Catalogue
from tokgate.judge.blocks import Block, OutOfTime, Unmeasured
from tokgate.suite.comparison import ArmFailed, ArmNotTried, Comparison
from tokgate.suite.plan import Case

CATALOGUE = Catalogue(Path(__file__).parents[3] / "fixtures")


def compare(live: Any, arms: str = "ab", **options: Any) -> Comparison:
    server = CATALOGUE.server("embedded-smollm2")
    workload = CATALOGUE.workload("chat-c1")
    cases = {
        arm: (
            Case(
                server=msgspec.structs.replace(server, name=f"x/{arm}"),
                workload=workload,
                prompts=CATALOGUE.prompts(workload.prompts),
            ),
        )
        for arm in arms
    }
    return Comparison(cases, live, **{"metric": "decode_tps", "goes_on": lambda _: True} | options)  # type: ignore[arg-type]


def test_a_block_is_mirrored(live: Any) -> None:
    """Three arms: each on two new launches, and every measurement is kept."""
    block = compare(live, "abc").measure_block(("c", "a", "b")).block("chat-c1", "decode_tps")
    assert block == Block(arms=("c", "a", "b"), values=(30.0, 10.0, 20.0, 20.0, 10.0, 30.0))
    starts = ["x/c 1", "x/a 1", "x/b 1", "x/b 2", "x/a 2", "x/c 2"]
    assert live.log == [f"start {name}" for name in starts]
    assert [one.server for one in live.kept] == [name.split()[0] for name in starts]


def test_looking_inside_costs_one_start_less(live: Any) -> None:
    """The first arm of the block starts last and is then measured without another start."""
    comparison = compare(live, "abc")
    looks = comparison.look_inside(("b", "a", "c"))
    assert list(looks) == ["a", "b", "c"], "in the order of the arms"
    assert live.log == ["start x/c 0", "start x/a 0", "start x/b 1"]
    comparison.measure("b", ["chat-c1"])
    assert len(live.log) == 3


def test_an_invalid_launch_is_repeated(live: Any) -> None:
    live.invalid = {("x/a", 1), ("x/a", 2)}
    measured = compare(live, tries=3).measure("a", ["chat-c1"])
    assert measured["chat-c1"].gated == {"decode_tps": 10.0}
    assert len(live.kept) == 3
    live.invalid = {("x/b", 1), ("x/b", 2)}
    with pytest.raises(Unmeasured, match=r"b: none of 2 launches was valid; launch 2 is .* host_busy: others ran"):
        compare(live, tries=2).measure("b", ["chat-c1"])


def test_without_tries_one_invalid_launch_ends_it(live: Any) -> None:
    live.invalid = {("x/a", 1)}
    with pytest.raises(Unmeasured, match="a: launch 1 is not valid: host_busy: others ran"):
        compare(live).measure_block(("a", "b"))
    with pytest.raises(Unmeasured, match="launch 1 is not valid: no ttft_s"):
        compare(live, metric="ttft_s").measure("b", ["chat-c1"])


def test_time_is_asked_before_each_launch(live: Any) -> None:
    asked: list[int] = []

    def goes_on(launches: int) -> bool:
        asked.append(launches)
        return launches < 3

    with pytest.raises(OutOfTime):
        compare(live, design="blocks", goes_on=goes_on).measure_block(("a", "b"))
    assert asked == [0, 1, 2, 3]
    assert len(live.kept) == 3


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (LaunchError("no such option", server="x/b"), ArmFailed),
        (ImageMissing("not here", server="x/b"), ArmNotTried),
    ],
)
def test_an_arm_that_does_not_start(live: Any, error: LaunchError, raised: type[Exception]) -> None:
    """A missing image is the machine's fault, not the arm's."""
    live.broken = {"x/b": error}
    with pytest.raises(raised) as caught:
        compare(live).measure_block(("a", "b"))
    assert caught.value.arm == "b"  # type: ignore[attr-defined]
    assert str(error) in str(caught.value)


def test_arms_that_fit_are_alive_together(live: Any) -> None:
    """A launch pair: one launch of each, whose ratio is that of the rounds, whatever the machine did."""
    live.no_room = ""
    comparison = compare(live)
    assert list(comparison.look_inside(("b", "a"))) == ["a", "b"]
    blocks = [comparison.measure_block(("b", "a")).block("chat-c1", "decode_tps") for _ in range(2)]
    assert comparison.design == "duet"
    assert [block.arms for block in blocks] == [("b", "a")] * 2
    assert [block.values for block in blocks] == [pytest.approx((20.0, 10.0)), pytest.approx((10.0, 5.0))]
    assert live.log == ["start x/b and x/a 1", "measure chat-c1", "start x/b and x/a 2", "measure chat-c1"]


def test_arms_that_do_not_fit_are_mirrored(live: Any) -> None:
    """Once they did not fit, they are not tried together again."""
    comparison = compare(live)
    for _ in range(2):
        assert comparison.measure_block(("a", "b")).design == "blocks"
    assert (comparison.design, comparison.why_blocks) == ("blocks", "two do not fit")


def test_an_arm_that_fails_in_company_is_tried_alone(live: Any) -> None:
    """Want of memory looks like any other failure; alone it says what the matter is."""
    live.no_room, live.broken = "", {"x/b": LaunchError("out of memory", server="x/b")}
    comparison = compare(live)
    with pytest.raises(ArmFailed, match="out of memory"):
        comparison.look_inside(("a", "b"))
    assert "x/b does not start next to the others" in comparison.why_blocks


def test_an_arm_that_fails_in_a_duet_is_named(live: Any) -> None:
    live.no_room = ""
    comparison = compare(live)
    comparison.measure_block(("a", "b"))
    live.broken = {"x/b": LaunchError("no such device", server="x/b")}
    with pytest.raises(Unmeasured, match=r"b: does not start: .*no such device"):
        comparison.measure_block(("a", "b"))


def test_a_question_may_judge_invalid_launches(live: Any) -> None:
    """Without a metric they are kept, and only a block of theirs is refused."""
    live.invalid = {("x/a", 1)}
    launches = compare(live, metric=None).measure_block(("a", "b"))
    assert [len(of_launch) for of_launch in launches.measured] == [1] * 4
    with pytest.raises(Unmeasured, match="a: launch 1 is not valid: host_busy"):
        launches.block("chat-c1", "decode_tps")
