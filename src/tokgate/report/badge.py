"""Badges: outcomes and states as people tell them apart, with colour and without."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from tokgate.judge.verdict import Outcome


class Badge(msgspec.Struct, frozen=True):
    """A symbol and a word that say all, and a tone (good, bad, unsure, plain) to colour them by."""

    symbol: str
    word: str
    tone: str


class State(StrEnum):
    """Every end a run can come to, the first that applies."""

    REGRESSED = "regressed"
    CONTRADICTED = "contradicted"
    BROKEN = "broken"
    EMPTY = "empty"
    SLIPPED = "slipped"
    UNDECIDED = "undecided"
    PASSED = "passed"


_LOOKS = {
    Outcome.PASS: ("✓", "good"),
    Outcome.REGRESSED: ("▼", "bad"),
    Outcome.IMPROVED: ("▲", "good"),
    Outcome.INCONCLUSIVE: ("?", "unsure"),
    Outcome.INVALID: ("!", "unsure"),
    Outcome.NO_BASELINE: ("–", "plain"),
    Outcome.CONFIRMED: ("✓", "good"),
    Outcome.REFUTED: ("✕", "plain"),
    Outcome.ARM_FAILED: ("⊘", "unsure"),
    State.REGRESSED: ("▼", "bad"),
    State.CONTRADICTED: ("✕", "bad"),
    State.BROKEN: ("!", "unsure"),
    State.EMPTY: ("○", "unsure"),
    State.SLIPPED: ("↘", "bad"),
    State.UNDECIDED: ("?", "plain"),
    State.PASSED: ("✓", "good"),
}


def badge(one: Outcome | State) -> Badge:
    """How an outcome, or the state of a whole run, is shown."""
    symbol, tone = _LOOKS[one]
    return Badge(symbol, one.replace("_", " "), tone)
