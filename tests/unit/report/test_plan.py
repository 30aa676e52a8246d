"""The plan as people read it."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from tokgate.judge.plan import CellPlan, LaunchPlan, ServerPlan
from tokgate.judge.preview import HypothesisPlan, Preview
from tokgate.judge.verdict import Known, Later, Outcome
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


def preview(plan: LaunchPlan | None, *hypotheses: HypothesisPlan, **changes: Any) -> Preview:
    values: dict[str, Any] = {
        "started": "2026-01-04T01:00:00.000+00:00",
        "title": "profile p",
        "unable": None,
        "budget_s": None,
        "plan": plan,
        "rounds": (),
        "requests": {"chat": 6, "code": 4},
        "hypotheses": hypotheses,
        "later": (),
        "total_s": 754.0,
        "alone_s": 754.0,
        "shared_s": 754.0,
        "nights": None,
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


def test_hypotheses_have_launches_and_time() -> None:
    """Each says how it is tested, what is known of it, or why it is tested again."""
    table = rows(
        preview(
            None,
            HypothesisPlan(hypothesis="x", blocks=2, seconds=3600.0, note="the kernel changed"),
            HypothesisPlan(hypothesis="y", how="pairs", blocks=2, seconds=90.0),
            HypothesisPlan(hypothesis="z", how="gate"),
            HypothesisPlan(hypothesis="look", how="look", seconds=60.0, source="assumed"),
            HypothesisPlan(hypothesis="sums", how="arithmetic"),
            HypothesisPlan(hypothesis="old", known="refuted, known from run R, 3 days old"),
        )
    )
    assert ["hypothesis", "x", "2", "blocks", "1h00m", "again:", "the", "kernel", "changed"] in table
    assert ["hypothesis", "y", "about", "4", "pairs", "1m30s"] in table
    assert ["hypothesis", "z", "those", "above", "–"] in table
    assert ["hypothesis", "look", "a", "look", "inside", "≈", "1m"] in table
    assert ["hypothesis", "sums", "–", "–"] in table
    assert ["hypothesis", "old", "known", "–", "refuted,", "known", "from", "run", "R,", "3", "days", "old"] in table


def test_what_is_left_for_later_has_its_last_answer() -> None:
    known = Known("R", "2026-01-01T01:00:00.000+00:00")
    both = {"decode_tps": Outcome.PASS, "ttft_s": Outcome.PASS}
    table = rows(
        preview(
            PLAN,
            later=(
                Later(name="s × deep", outcomes=both, known=known),
                Later(name="s × wide", outcomes={**both, "ttft_s": Outcome.INCONCLUSIVE}, known=known),
                Later(name="faster"),
            ),
        )
    )
    assert ["s", "×", "deep", "pass,", "3", "days", "ago"] in table
    assert ["s", "×", "wide", "1", "pass,", "1", "inconclusive,", "3", "days", "ago"] in table
    assert ["faster", "never", "answered"] in table
