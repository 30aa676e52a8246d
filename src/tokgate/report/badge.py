"""Badges: outcomes and states as people tell them apart, with color and without."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from tokgate.judge.verdict import Outcome


class Badge(msgspec.Struct, frozen=True):
    """A symbol and a word that are enough without color, and a tone (good, bad, unsure, plain) for the color."""

    symbol: str
    word: str
    tone: str


class State(StrEnum):
    """How a run ended: the first that applies."""

    REGRESSED = "regressed"
    CONTRADICTED = "contradicted"
    RUNNING = "running"
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
    State.RUNNING: ("…", "plain"),
    State.BROKEN: ("!", "unsure"),
    State.EMPTY: ("○", "unsure"),
    State.SLIPPED: ("↘", "bad"),
    State.UNDECIDED: ("?", "unsure"),
    State.PASSED: ("✓", "good"),
}


def make_badge(what: Outcome | State) -> Badge:
    """How an outcome, or the state of a whole run, is shown."""
    symbol, tone = _LOOKS[what]
    return Badge(symbol, what.replace("_", " "), tone)
