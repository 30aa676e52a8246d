"""The plan as people read it."""

from __future__ import annotations

from tokgate.judge.cell import CaseKey
from tokgate.judge.plan import CellPlan, LaunchPlan, ServerPlan
from tokgate.report.plan import describe_plan


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


def test_workloads_have_launches_and_detectable_drops() -> None:
    """Each workload has its launches and its smallest detectable drops."""
    text = describe_plan(
        PLAN,
        requests={CaseKey("s", "chat"): 6, CaseKey("s", "code"): 4},
        notes=["a note"],
        width=120,
        color=False,
    )
    rows = [line.split() for line in text.splitlines()]
    assert ["s", "7", "12m34s"] in rows
    assert ["chat", "3", "3", "×", "6", "decode_tps", "1.2", "%;", "ttft_s", "unknown"] in rows
    assert ["code", "7", "7", "×", "4", "no", "baseline"] in rows
    assert text.endswith("a note")
    assert "\x1b[" not in text


def test_without_servers_only_the_notes_are_left() -> None:
    assert describe_plan(None, requests={}, notes=["hypothesis x: 2 blocks"], width=80, color=False) == (
        "hypothesis x: 2 blocks"
    )
