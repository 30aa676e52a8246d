"""Conclusions: what follows from the outcomes of several hypotheses, by a rule stated before the run."""

from __future__ import annotations

from collections.abc import Iterable

from tokgate.config.profile import Conclusion
from tokgate.judge.verdict import Verdict


def draw_conclusions(conclusions: Iterable[Conclusion], verdicts: Iterable[Verdict]) -> tuple[str, ...]:
    """The sentences of the conclusions whose hypotheses all have the outcomes they name, in their order."""
    outcomes = {verdict.hypothesis: str(verdict.outcome) for verdict in verdicts if verdict.kind == "hypothesis"}
    return tuple(conclusion.then for conclusion in conclusions if conclusion.when.items() <= outcomes.items())
