"""The suite: every server of the profile under every workload, measured, then judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tokgate.judge.policy import explain_failure
from tokgate.plugin.options import OPTIONS

if TYPE_CHECKING:
    from tokgate.judge.cell import CellKey
    from tokgate.launch.server import Server
    from tokgate.suite.session import Session

pytestmark = pytest.mark.perf


def test_measure(server: Server, workload: str, tokgate: Session, benchmark: Any) -> None:
    """One workload on one launch gives a valid measurement."""
    measurement = benchmark.pedantic(tokgate.measure, args=(server, workload), rounds=1, iterations=1)
    benchmark.extra_info.update(measurement.metrics)
    if not measurement.valid:
        listed = "\n  - ".join(f"{problem.rule}: {problem.detail}" for problem in measurement.problems)
        pytest.fail(f"this measurement is not valid:\n  - {listed}", pytrace=False)


def test_verdict(judged: CellKey, tokgate: Session, request: pytest.FixtureRequest) -> None:
    """No metric of a cell is slower than its baseline."""
    verdict = tokgate.verdict(judged)
    request.node.user_properties += [("outcome", str(verdict.outcome)), ("reason", verdict.reason)]
    if message := explain_failure(verdict, strict=request.config.stash[OPTIONS].strict):
        pytest.fail(message, pytrace=False)
