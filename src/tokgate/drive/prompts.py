"""Requests from a prompt set, each with a unique beginning so that no prefix can be cached."""

from __future__ import annotations

import random

from tokgate.config.workload import Prompt, PromptSet
from tokgate.drive.client import Request

_DIGITS = 16  # 10^16 prefixes, so that two runs are unlikely to share one, too


def make_requests(prompts: PromptSet, count: int, *, seed: int, max_tokens: int) -> tuple[Request, ...]:
    """Make `count` requests that cycle through the set; the same `seed` makes the same requests.

    Each begins with 16 random digits with spaces between them. Tokenizers that split digits make one token of each
    (and at most one more of each space), so the length of the prompt in tokens is constant. The digits are at the very
    start of a system message, which also replaces the default one of a chat template, equal in all requests.
    Raises ValueError: count is below 1.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1 (got {count})")
    rng = random.Random(seed)
    prefixes: dict[str, None] = {}
    while len(prefixes) < count:
        prefixes[" ".join(rng.choices("0123456789", k=_DIGITS))] = None
    chosen = (prompts.prompts[index % len(prompts.prompts)] for index in range(count))
    return tuple(
        Request(prompt_id=prompt.id, messages=_add_prefix(prefix, prompt), max_tokens=max_tokens)
        for prefix, prompt in zip(prefixes, chosen, strict=True)
    )


def _add_prefix(prefix: str, prompt: Prompt) -> tuple[dict[str, str], ...]:
    first, *rest = prompt.messages
    if first["role"] != "system":
        return ({"role": "system", "content": prefix}, *prompt.messages)
    return ({**first, "content": f"{prefix}\n{first['content']}"}, *rest)
