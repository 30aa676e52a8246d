"""Output canaries: a broken model must not pass for a fast one. Pure.

Greedy answers to fixed questions are compared with those stored for the same model and engine; without
stored ones, entropy, repetition and known answers still tell garbage.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping

import msgspec

from tokgate.config.workload import PromptSet
from tokgate.measure.measurement import Answers, Canary, Problem

AGREEMENT = 0.5
"""Of the tokens of stored answers, so many must come again before the first that differs. SmolLM2-135M gave
1.00 on every launch, with one thread and two, and 0.18 and 0.15 when it sampled at temperature 0.7 and 1. A
kernel that rounds otherwise turns single answers, not half of them."""

ENTROPY_BITS = 2.5
"""Text below so many bits a character is garbage: English and Chinese have 3.9 to 4.5, NaN weights 0.1."""

DISTINCT = 0.25
"""An answer of which fewer tokens than this are distinct repeats itself; looked at from LONG tokens on."""

LONG = 16

_TOKEN = re.compile(r"\w+|[^\w\s]")
_SHOWN = 60


def check(
    prompts: PromptSet, answers: Answers, stored: Answers | None, *, sensible: bool
) -> tuple[Canary, tuple[Problem, ...]]:
    """What the answers show, and what is wrong with them.

    stored: what this server answered when its baseline was accepted; not compared when it is of another
    model, engine or set of questions. sensible: False for random weights, whose text is garbage by design.
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
    """Share of tokens (words and marks) that are alike before the first difference, of the longer text."""
    ours, theirs = tokens(text), tokens(stored)
    longest = max(len(ours), len(theirs))
    alike = next(
        (at for at, pair in enumerate(zip(ours, theirs, strict=False)) if pair[0] != pair[1]),
        min(len(ours), len(theirs)),
    )
    return alike / longest if longest else 1.0


def tokens(text: str) -> list[str]:
    """Words and marks, whatever the tokenizer of the model makes of them."""
    return _TOKEN.findall(text)


def entropy_bits(text: str) -> float:
    """Shannon entropy of the characters, bits each; 0 for an empty text."""
    counts = Counter(text).values()
    return -sum(count / len(text) * math.log2(count / len(text)) for count in counts) + 0.0


def repeats(text: str) -> bool:
    """Whether a long answer goes round in circles, or says one character again and again."""
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
        f"{canary.agreement:.0%} of the stored answers' tokens came again (limit {AGREEMENT:.0%}); "
        f"{worst} was {_short(was)} and is {_short(said)}"
    ]


def read(answers: Answers) -> tuple[Canary, tuple[Problem, ...]]:
    """What answers of a fixed length to any questions show: they may ramble, but not be of hardly any characters."""
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
        f"the answers have {canary.entropy_bits:.1f} bits a character (limit {ENTROPY_BITS}): {_first(canary)}"
    ]


def _first(canary: Canary) -> str:
    found = (f"{one} {_short(text)}" for one, text in canary.answers.texts.items())
    return next(found, "nothing was asked")


def _garbage(canary: Canary) -> list[str]:
    texts, shown = canary.answers.texts, _first(canary)
    found = _monotonous(canary)
    if 2 * canary.repeating > len(texts):
        found.append(f"{canary.repeating} of {len(texts)} answers repeat themselves: {shown}")
    if canary.known and not canary.right:
        found.append(f"none of {canary.known} questions with a known answer got it: {shown}")
    return found


def _says(text: str, answer: str) -> bool:
    return re.search(rf"\b{re.escape(answer)}\b", text, re.IGNORECASE) is not None


def _short(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
