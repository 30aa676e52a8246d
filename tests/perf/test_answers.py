"""Right before fast: every server of the profile answers the canary questions before it is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tokgate.judge.policy import explain_failure

if TYPE_CHECKING:
    from tokgate.suite.session import Session

pytestmark = pytest.mark.perf


def test_answers(answering: str, tokgate: Session, request: pytest.FixtureRequest) -> None:
    """The server answers as a working model does."""
    verdict = tokgate.answers(answering)
    request.node.user_properties += [("outcome", str(verdict.outcome)), ("reason", verdict.reason)]
    if message := explain_failure(verdict):
        pytest.fail(message, pytrace=False)
