"""The hypotheses of the profile: each claim tested as an experiment of two arms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tokgate.judge.hypothesis import contradicts
from tokgate.judge.verdict import Outcome
from tokgate.plugin.options import OPTIONS

if TYPE_CHECKING:
    from tokgate.suite.plan import Experiment
    from tokgate.suite.session import Session

pytestmark = pytest.mark.perf


def test_hypothesis(
    experiment: Experiment, tokgate: Session, record_property: Any, pytestconfig: pytest.Config
) -> None:
    """What is measured does not contradict what is recorded of the claim or, if it is open, the claim."""
    verdict = tokgate.experiment(experiment, blocks=pytestconfig.stash[OPTIONS].blocks)
    record_property("outcome", str(verdict.outcome))
    record_property("reason", verdict.reason)
    if message := contradicts(experiment.hypothesis, verdict):
        pytest.fail(message.replace("--run RUN", f"--run {tokgate.writer.record.run_id}"), pytrace=False)
    strict = (Outcome.INCONCLUSIVE,) if pytestconfig.stash[OPTIONS].strict else ()
    if verdict.outcome in (Outcome.INVALID, *strict):
        pytest.fail(f"{verdict.outcome}: {verdict.reason}", pytrace=False)
