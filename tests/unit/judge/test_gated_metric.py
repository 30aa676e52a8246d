"""A metric that a workload's YAML gates, from there to its verdict."""

from __future__ import annotations

from pathlib import Path

import pytest

from tokgate.config.catalogue import Catalogue
from tokgate.config.metric import find_metric
from tokgate.config.workload import Workload
from tokgate.drive.sample import Sample
from tokgate.judge.cell import Cell, Reference
from tokgate.judge.gate import judge
from tokgate.judge.verdict import Outcome, Verdict
from tokgate.measure.metrics import Pass, compute_gated
from tokgate.measure.validity import check_gated

FIXTURES = Path(__file__).parents[3] / "fixtures"
WORKLOAD = "description: d\nprompts: short-chat\nrequests: 4\nmax_tokens: 200\ngate: [itl_p99_s, tokens_per_joule]\n"


@pytest.fixture
def workload(tmp_path: Path) -> Workload:
    (tmp_path / "prompts").symlink_to(FIXTURES / "prompts")
    (tmp_path / "workloads").mkdir()
    (tmp_path / "workloads" / "chat.yaml").write_text(WORKLOAD)
    return Catalogue(tmp_path).workload("chat")


def sample(stall_s: float) -> Sample:
    """200 tokens, one each 20 ms, but with three gaps of `stall_s`."""
    times_s, now_s = [], 0.1
    for token in range(200):
        now_s += stall_s if token and token % 50 == 0 else 0.02
        times_s.append(now_s)
    return Sample(
        index=0,
        prompt_id="p",
        asked_tokens=200,
        sent_s=0.0,
        first_byte_s=0.1,
        token_times_s=tuple(times_s),
        end_s=times_s[-1],
        prompt_tokens=50,
        completion_tokens=200,
    )


def gate(workload: Workload, stall_s: float, metric: str = "itl_p99_s") -> Verdict:
    """The verdict on five launches whose stalls take `stall_s`, against ten of 100 ms."""

    def launches(count: int, seconds: float) -> tuple[float, ...]:
        passes = [
            Pass([sample(seconds * (1 + 0.01 * (launch % 3))) for _ in range(4)], joules=100.0)
            for launch in range(count)
        ]
        values = [compute_gated(timed, workload) for timed in passes]
        assert all(not check_gated(gated, workload) for gated in values)
        return tuple(gated[metric] for gated in values)

    row = find_metric(metric)
    (verdict,) = judge(
        [
            Cell(
                server="s",
                workload="chat",
                metric=metric,
                current=launches(5, stall_s),
                reference=Reference(kind="launches", values=launches(10, 0.1), label="the baseline"),
                invalid=None,
                tolerance=row.tolerance,
                promise=row.promise,
            )
        ]
    )
    return verdict


@pytest.mark.parametrize(
    ("stall_s", "outcome"), [(0.1, Outcome.PASS), (0.15, Outcome.REGRESSED), (0.06, Outcome.IMPROVED)]
)
def test_gated_p99_itl(workload: Workload, stall_s: float, outcome: Outcome) -> None:
    """Longer stalls are a regression of the p99 ITL, although the medians are the same."""
    verdict = gate(workload, stall_s)
    assert (verdict.metric, verdict.outcome) == ("itl_p99_s", outcome)


def test_missing_gated_metric(workload: Workload) -> None:
    """A listed metric that cannot be computed is a problem, never a silent gap."""
    values = compute_gated(Pass([sample(0.1)]), workload)
    (problem,) = check_gated(values, workload)
    assert problem.rule == "metric_missing"
    assert "tokens_per_joule" in problem.detail
