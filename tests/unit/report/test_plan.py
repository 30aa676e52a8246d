"""The plan as people read it."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from tokgate.judge.plan import CellPlan, LaunchPlan, ServerPlan
from tokgate.judge.preview import BlocksPlan, Preview
from tokgate.report.plan import describe_preview


def cell(workload: str, metric: str, launches: int, drop: float | None, unseen: str = "") -> CellPlan:
    return CellPlan(server="s", workload=workload, metric=metric, launches=launches, drop=drop, unseen=unseen)


PLAN = LaunchPlan(
    servers=(ServerPlan(server="s", starts=7, launches={"chat": 3, "code": 7}, seconds=754.0),),
    cells=(
        cell("chat", "decode_tps", 3, 0.0123),
        cell("chat", "ttft_s", 3, None, "unknown"),
        cell("code", "decode_tps", 7, None, "no baseline"),
        cell("code", "ttft_s", 7, None, "no baseline"),
    ),
    total_s=754.0,
)


def preview(plan: LaunchPlan | None, *hypotheses: BlocksPlan, **changes: Any) -> Preview:
    values: dict[str, Any] = {
        "title": "profile p",
        "unable": None,
        "budget_s": None,
        "plan": plan,
        "requests": {"chat": 6, "code": 4},
        "hypotheses": hypotheses,
        "total_s": 754.0,
        "notes": ("a note",),
    }
    return Preview(**(values | changes))


def rows(shown: Preview) -> list[list[str]]:
    text = describe_preview(shown, width=120, color=False)
    assert "\x1b[" not in text
    assert text.endswith("a note")
    return [line.split() for line in text.splitlines()]


def test_workloads_have_launches_and_detectable_drops() -> None:
    """Each workload has its launches and its smallest detectable drops."""
    table = rows(preview(PLAN))
    assert ["s", "7", "12m34s"] in table
    assert ["chat", "3", "3", "×", "6", "decode_tps", "1.2", "%;", "ttft_s", "unknown"] in table
    assert ["code", "7", "7", "×", "4", "no", "baseline"] in table


def test_estimates_are_marked() -> None:
    (server,) = PLAN.servers
    assumed = CellPlan(server="s", workload="chat", metric="decode_tps", launches=3, drop=0.06, assumed=True)
    plan = replace(PLAN, servers=(replace(server, source="roofline"),), cells=(assumed, *PLAN.cells[2:]))
    table = rows(preview(plan))
    assert ["s", "7", "≈", "12m34s"] in table
    assert ["chat", "3", "3", "×", "6", "decode_tps", "≈", "6", "%"] in table


def test_hypotheses_have_blocks_and_time() -> None:
    table = rows(
        preview(
            None,
            BlocksPlan(hypothesis="x", blocks=2, seconds=3600.0, source="measured"),
            BlocksPlan(hypothesis="look", blocks=0, seconds=60.0, source="assumed"),
            BlocksPlan(hypothesis="sums", blocks=0, seconds=0.0, source="measured"),
        )
    )
    assert ["hypothesis", "x", "2", "blocks", "1h00m"] in table
    assert ["hypothesis", "look", "1", "look", "≈", "1m"] in table
    assert ["hypothesis", "sums", "–"] in table or ["hypothesis", "sums", "–", "–"] in table
