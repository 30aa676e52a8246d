"""What a run left for later, and how old the last answers are."""

from __future__ import annotations

from collections import Counter

from tokgate.config.words import format_age, format_count
from tokgate.judge.verdict import Later
from tokgate.store.runs import RunRecord, compute_age_s


def describe_last(later: Later, now: str) -> str:
    """`pass, 3 days ago`: its last answer. now: ISO 8601."""
    if later.known is None:
        return "never answered"
    counts = Counter(map(str, later.outcomes.values()))
    outcomes = ", ".join(f"{count} {outcome}" if len(counts) > 1 else outcome for outcome, count in counts.items())
    return f"{outcomes}, {format_age(compute_age_s(later.known.started, now))} ago"


def summarize_later(record: RunRecord) -> str:
    """`6 parts left for later, 2 of them never answered; the oldest answer is 4 days old (vllm-amd)`; empty without any."""
    if not record.later:
        return ""
    never = sum(later.known is None for later in record.later)
    text = f"the budget had no time for {format_count(len(record.later), 'part')} of the profile"
    if never:
        text += f", {never} of them never answered"
    answered = [(later.known.started, later.name) for later in record.later if later.known is not None]
    if answered:
        started, name = min(answered)
        text += f"; the oldest answer is {format_age(compute_age_s(started, record.started))} old ({name})"
    return text
