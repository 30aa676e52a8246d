"""The hypotheses of the profile: each claim is tested as an experiment of its arms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tokgate.judge.policy import explain_failure
from tokgate.plugin.options import OPTIONS

if TYPE_CHECKING:
    from tokgate.suite.plan import Experiment
    from tokgate.suite.session import Session

pytestmark = pytest.mark.perf


def test_hypothesis(experiment: Experiment, tokgate: Session, request: pytest.FixtureRequest) -> None:
    """The outcome does not contradict the recorded status of the claim or, if that is open, the claim."""
    options = request.config.stash[OPTIONS]
    verdict = tokgate.experiment(experiment, blocks=options.blocks)
    request.node.user_properties += [("outcome", str(verdict.outcome)), ("reason", verdict.reason)]
    run = tokgate.writer.record.run_id
    if message := explain_failure(verdict, [experiment.hypothesis], strict=options.strict, run=run):
        pytest.fail(message, pytrace=False)
