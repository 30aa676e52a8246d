"""Whether the token counts of a server can be true: against the text, the request and its other counts. Pure.

The limits are generous: they find what no tokenizer and no chat template explains, not a count that is a little off.
Nothing is computed from a count that cannot be true (`Pass`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

import msgspec

from tokgate.config.words import format_count
from tokgate.drive.sample import Sample

BYTES_PER_TOKEN = 256
"""More bytes of an answer than this for each token are impossible: the longest tokens of known vocabularies are runs of
128 to 256 equal signs. Usual text has 3 to 6 bytes per token."""

PROMPT_BYTES_PER_TOKEN = 64
"""The same of a prompt, which no broken model wrote."""

TEMPLATE_TOKENS = 8192
"""A prompt has at most one token for each of its bytes, and this number for what a chat template adds: default system
prompts and descriptions of tools have a few hundred."""

HIDDEN_SHARE, HIDDEN_TOKENS = 0.5, 16
"""An answer has at most one token for each byte of its text, besides tokens without a text: marks of reasoning and tool
calls. Those may be this share of all, and this number more."""

PROMPT_FACTOR = 2
"""Requests with one prompt differ by their prefix of constant length: no count is this many times their median, or the
median this many times a count. Smaller differences are `prompt_length_varies`."""


def find_implausible(samples: Sequence[Sample]) -> dict[int, str]:
    """By place in `samples`, why a count of that sample cannot be true."""
    reasons = {at: reason for at, sample in enumerate(samples) if (reason := next(_list_reasons(sample), None))}
    lengths: dict[str, list[int]] = {}
    for at, sample in enumerate(samples):
        if at not in reasons and sample.prompt_tokens is not None:
            lengths.setdefault(sample.prompt_id, []).append(sample.prompt_tokens)
    medians = {prompt: median(counts) for prompt, counts in lengths.items()}
    for at, sample in enumerate(samples):
        if at in reasons or (p := sample.prompt_tokens) is None:
            continue
        usual = medians[sample.prompt_id]
        if not usual / PROMPT_FACTOR <= p <= usual * PROMPT_FACTOR:
            reasons[at] = f"{format_count(p, 'prompt token')}, but {usual:.0f} is the median of this prompt's requests"
    return reasons


def drop_implausible(samples: Sequence[Sample]) -> Sequence[Sample]:
    """The samples; one with a count that cannot be true has no counts and no timings of the server."""
    implausible = find_implausible(samples)
    if not implausible:
        return samples
    unknown = {"prompt_tokens": None, "cached_tokens": None, "completion_tokens": None, "timings": None}
    return tuple(
        msgspec.structs.replace(sample, **unknown) if at in implausible else sample for at, sample in enumerate(samples)
    )


def _list_reasons(sample: Sample) -> Iterator[str]:
    if sample.count_problem is not None:
        yield sample.count_problem
    yield from _list_prompt_reasons(sample)
    yield from _list_answer_reasons(sample)


def _list_prompt_reasons(sample: Sample) -> Iterator[str]:
    p, cached, size = sample.prompt_tokens, sample.cached_tokens, sample.prompt_bytes
    if p is None:
        return
    counted = format_count(p, "prompt token")
    if p == 0:
        yield f"{counted} for a prompt"
    elif size is not None and not size / PROMPT_BYTES_PER_TOKEN <= p <= size + TEMPLATE_TOKENS:
        yield f"{counted} for {format_count(size, 'byte')} of prompt"
    if cached is not None and cached > p:
        yield f"{cached} cached of {counted}"


def _list_answer_reasons(sample: Sample) -> Iterator[str]:
    n, first, size = sample.completion_tokens, sample.first_chunk_tokens, len(sample.text.encode())
    if n is None or not sample.text:  # an answer without text has no rate
        return
    counted = format_count(n, "token")
    if sample.first_chunk_told and first > n:
        yield f"{counted}, but {first} of them in the first chunk"
    if sample.first_chunk_told and len(sample.first_chunk_text.encode()) > BYTES_PER_TOKEN * first:
        yield f"{format_count(first, 'token')} for the {len(sample.first_chunk_text.encode())} bytes of the first chunk"
    seen = n - first if sample.first_chunk_told else n  # tokens before the first text are known to have none
    if not size / BYTES_PER_TOKEN <= n or not seen <= size / HIDDEN_SHARE + HIDDEN_TOKENS:
        yield f"{counted} for {format_count(size, 'byte')} of text"
