"""Output canaries: a broken model must not count as a fast one. Pure.

Greedy answers to fixed questions are compared with those stored for the same model and engine. Without
stored answers, entropy, repetition and questions with a known answer still detect garbage.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping

import msgspec

from tokgate.config.words import format_percent
from tokgate.config.workload import PromptSet
from tokgate.measure.measurement import Answers, Canary, Problem

AGREEMENT = 0.5
"""Smallest share of the stored answers' tokens that must be the same before the first difference. SmolLM2-135M had
1.00 on every launch, with one thread and with two, and 0.18 and 0.15 when it sampled at temperature 0.7 and 1. A
kernel that rounds differently changes single answers, not half of them."""

ENTROPY_BITS = 2.5
"""Text with less entropy per character is garbage: English and Chinese have 3.9 to 4.5 bits, NaN weights 0.1."""

DISTINCT = 0.25
"""An answer with a smaller share of distinct tokens is repetitive; shorter ones than LONG tokens are not checked."""

LONG = 16

_TOKEN = re.compile(r"\w+|[^\w\s]")
_SHOWN = 60


def check(
    prompts: PromptSet, answers: Answers, stored: Answers | None, *, sensible: bool
) -> tuple[Canary, tuple[Problem, ...]]:
    """Check the answers; returns what they show, and the problems.

    stored: what this server answered when its baseline was accepted; not compared if it comes from another
        model, engine or set of questions.
    sensible: False for random weights, whose text is garbage by design.
    """
    comparable = stored is not None and _origin(stored) == _origin(answers)
    agreements = (
        {
            one: agreement(text, stored.texts[one])
            for one, text in answers.texts.items()
            if one in stored.texts
        }
        if comparable and stored is not None
        else {}
    )
    shown, _ = read(answers)
    known = {one.id: one.answer for one in prompts.prompts if one.answer is not None}
    right = sum(_says(answers.texts.get(one, ""), answer) for one, answer in known.items())
    canary = msgspec.structs.replace(
        shown,
        agreement=sum(agreements.values()) / len(agreements) if agreements else None,
        right=right,
        known=len(known),
    )
    found = [] if stored is None else _disagreement(canary, agreements, stored)
    if sensible:
        found += _garbage(canary)
    return canary, tuple(Problem(rule="canary", detail=detail) for detail in found)


def agreement(text: str, stored: str) -> float:
    """Number of equal tokens (words and punctuation marks) before the first difference, as a share of the longer text."""
    ours, theirs = tokens(text), tokens(stored)
    longest = max(len(ours), len(theirs))
    alike = next(
        (at for at, pair in enumerate(zip(ours, theirs, strict=False)) if pair[0] != pair[1]),
        min(len(ours), len(theirs)),
    )
    return alike / longest if longest else 1.0


def tokens(text: str) -> list[str]:
    """Words and punctuation marks, independent of the model's tokenizer."""
    return _TOKEN.findall(text)


def entropy_bits(text: str) -> float:
    """Shannon entropy in bits per character; 0 for an empty text."""
    counts = Counter(text).values()
    return -sum(count / len(text) * math.log2(count / len(text)) for count in counts) + 0.0


def repeats(text: str) -> bool:
    """Whether a long answer repeats itself, or one character."""
    parts = tokens(text)
    if len(parts) >= LONG:
        return len(set(parts)) / len(parts) < DISTINCT
    return len(text) >= 2 * LONG and entropy_bits(text) < ENTROPY_BITS


def _origin(answers: Answers) -> tuple[str, str, str]:
    return answers.model, answers.engine, answers.prompts_sha256


def _disagreement(canary: Canary, agreements: Mapping[str, float], stored: Answers) -> list[str]:
    if canary.agreement is None or canary.agreement >= AGREEMENT:
        return []
    worst = min(agreements, key=lambda one: agreements[one])
    said, was = canary.answers.texts[worst], stored.texts[worst]
    return [
        f"only {format_percent(canary.agreement)} of the stored answers' tokens are the same (limit {format_percent(AGREEMENT)}); "
        f"{worst} was {_short(was)} and is {_short(said)}"
    ]


def read(answers: Answers) -> tuple[Canary, tuple[Problem, ...]]:
    """Check answers of a fixed length to any questions: they may ramble, but must not consist of a few characters."""
    canary = Canary(
        answers=answers,
        agreement=None,
        entropy_bits=entropy_bits(" ".join(answers.texts.values())),
        repeating=sum(repeats(text) for text in answers.texts.values()),
        right=0,
        known=0,
    )
    return canary, tuple(Problem(rule="canary", detail=detail) for detail in _monotonous(canary))


def _monotonous(canary: Canary) -> list[str]:
    if canary.entropy_bits >= ENTROPY_BITS:
        return []
    return [
        f"the answers have {canary.entropy_bits:.1f} bits of entropy per character (limit {ENTROPY_BITS}): {_first(canary)}"
    ]


def _first(canary: Canary) -> str:
    found = (f"{one} {_short(text)}" for one, text in canary.answers.texts.items())
    return next(found, "there are no questions")


def _garbage(canary: Canary) -> list[str]:
    texts, shown = canary.answers.texts, _first(canary)
    found = _monotonous(canary)
    if 2 * canary.repeating > len(texts):
        found.append(f"{canary.repeating} of {len(texts)} answers are repetitive: {shown}")
    if canary.known and not canary.right:
        found.append(f"none of {canary.known} questions with a known answer was answered correctly: {shown}")
    return found


def _says(text: str, answer: str) -> bool:
    return re.search(rf"\b{re.escape(answer)}\b", text, re.IGNORECASE) is not None


def _short(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
