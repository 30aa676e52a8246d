"""The hypotheses of the profile: each claim is tested as an experiment of its arms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tokgate.judge.policy import explain_failure
from tokgate.plugin.options import OPTIONS

if TYPE_CHECKING:
    from tokgate.suite.plan import Experiment
    from tokgate.suite.session import Session

pytestmark = pytest.mark.perf


def test_hypothesis(
    experiment: Experiment, tokgate: Session, record_property: Any, pytestconfig: pytest.Config
) -> None:
    """The outcome does not contradict the recorded status of the claim or, if that is open, the claim."""
    verdict = tokgate.experiment(experiment, blocks=pytestconfig.stash[OPTIONS].blocks)
    record_property("outcome", str(verdict.outcome))
    record_property("reason", verdict.reason)
    strict, run = pytestconfig.stash[OPTIONS].strict, tokgate.writer.record.run_id
    if message := explain_failure(verdict, [experiment.hypothesis], strict=strict, run=run):
        pytest.fail(message, pytrace=False)
