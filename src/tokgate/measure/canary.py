"""Output canaries: a broken model must not count as a fast one. Pure.

Greedy answers to fixed questions are compared with those stored for the same model and engine. Without
stored answers, entropy, repetition and questions with a known answer still detect garbage.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from itertools import takewhile

import msgspec

from tokgate.config.words import format_number, format_percent
from tokgate.config.workload import PromptSet
from tokgate.measure.measurement import Answers, Canary, Problem

AGREEMENT = 0.5
"""Smallest share of the stored answers' tokens that must be the same before the first difference. SmolLM2-135M had
1.00 on every launch, with one thread and with two, and 0.18 and 0.15 when it sampled at temperature 0.7 and 1. A
kernel that rounds differently changes single answers, not half of them."""

ENTROPY_BITS = 2.5
"""Text with less entropy per character is garbage: English and Chinese have 3.9 to 4.5 bits, NaN weights 0.1."""

DISTINCT = 0.25
"""An answer with a smaller share of distinct tokens is repetitive."""

LONG = 16
"""Shorter answers, in tokens, are not checked for repetition: a few words may repeat by chance."""

_TOKEN = re.compile(r"\w+|[^\w\s]")
_SHOWN = 60  # characters of an answer in a message


def check_answers(
    prompts: PromptSet, answers: Answers, stored: Answers | None, *, sensible: bool
) -> tuple[Canary, tuple[Problem, ...]]:
    """Check the answers; returns what they show, and the problems.

    stored: what this server answered when its baseline was accepted; not compared if it comes from another
        model, engine or set of questions.
    sensible: False for random weights, whose text is garbage by design.
    """
    before = stored.texts if stored is not None and _origin(stored) == _origin(answers) else {}
    agreements = {
        question: compute_agreement(text, before[question])
        for question, text in answers.texts.items()
        if question in before
    }
    timed, _ = check_timed_answers(answers)
    known = {prompt.id: prompt.answer for prompt in prompts.prompts if prompt.answer is not None}
    right = sum(
        re.search(rf"\b{re.escape(answer)}\b", answers.texts.get(question, ""), re.IGNORECASE) is not None
        for question, answer in known.items()
    )
    canary = msgspec.structs.replace(
        timed,
        agreement=sum(agreements.values()) / len(agreements) if agreements else None,
        right=right,
        known=len(known),
    )
    details = []
    if canary.agreement is not None and canary.agreement < AGREEMENT:
        worst = min(agreements, key=agreements.__getitem__)
        details.append(
            f"only {format_percent(canary.agreement)} of the stored answers' tokens are the same "
            f"(limit {format_percent(AGREEMENT)}); {worst} was {_short(before[worst])} and is {_short(answers.texts[worst])}"
        )
    if sensible:
        details += _garbage(canary)
    return canary, tuple(Problem(rule="canary", detail=detail) for detail in details)


def compute_agreement(text: str, stored: str) -> float:
    """Number of equal tokens (words and punctuation marks) before the first difference, as a share of the longer text."""
    ours, theirs = split_tokens(text), split_tokens(stored)
    longest = max(len(ours), len(theirs))
    alike = len([*takewhile(lambda pair: pair[0] == pair[1], zip(ours, theirs, strict=False))])
    return alike / longest if longest else 1.0


def split_tokens(text: str) -> list[str]:
    """Words and punctuation marks, independent of the model's tokenizer."""
    return _TOKEN.findall(text)


def compute_entropy(text: str) -> float:
    """Shannon entropy in bits per character; 0 for an empty text."""
    counts = Counter(text).values()
    return -sum(count / len(text) * math.log2(count / len(text)) for count in counts) + 0.0


def is_repetitive(text: str) -> bool:
    """Whether a long answer repeats itself, or one character."""
    parts = split_tokens(text)
    if len(parts) >= LONG:
        return len(set(parts)) / len(parts) < DISTINCT
    return len(text) >= 2 * LONG and compute_entropy(text) < ENTROPY_BITS


def _origin(answers: Answers) -> tuple[str, str, str]:
    return answers.model, answers.engine, answers.prompts_sha256


def check_timed_answers(answers: Answers) -> tuple[Canary, tuple[Problem, ...]]:
    """Check answers of a fixed length to any questions: they may ramble, but must not consist of a few characters."""
    canary = Canary(
        answers=answers,
        agreement=None,
        entropy_bits=compute_entropy(" ".join(answers.texts.values())),
        repeating=sum(is_repetitive(text) for text in answers.texts.values()),
        right=0,
        known=0,
    )
    return canary, tuple(Problem(rule="canary", detail=detail) for detail in _monotonous(canary))


def _monotonous(canary: Canary) -> list[str]:
    if canary.entropy_bits >= ENTROPY_BITS:
        return []
    return [
        f"the answers have {format_number(round(canary.entropy_bits, 1))} bits of entropy per character (limit {ENTROPY_BITS}): {_first(canary)}"
    ]


def _first(canary: Canary) -> str:
    pairs = (f"{question} {_short(text)}" for question, text in canary.answers.texts.items())
    return next(pairs, "there are no questions")


def _garbage(canary: Canary) -> list[str]:
    texts, example = canary.answers.texts, _first(canary)
    details = _monotonous(canary)
    if 2 * canary.repeating > len(texts):
        details.append(f"{canary.repeating} of {len(texts)} answers are repetitive: {example}")
    if canary.known and not canary.right:
        details.append(f"none of {canary.known} questions with a known answer was answered correctly: {example}")
    return details


def _short(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
