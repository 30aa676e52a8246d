"""What follows when several hypotheses have come out so: the rule a person stated before the run. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from tokgate.config.profile import Conclusion
from tokgate.judge.verdict import Verdict


def drawn(conclusions: Iterable[Conclusion], verdicts: Iterable[Verdict]) -> tuple[str, ...]:
    """The sentences of those whose every hypothesis was tested and came out as they say, in their order."""
    outcomes = {one.hypothesis: str(one.outcome) for one in verdicts if one.kind == "hypothesis"}
    return tuple(one.then for one in conclusions if one.when.items() <= outcomes.items())
