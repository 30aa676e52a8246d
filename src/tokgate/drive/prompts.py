"""Requests from a prompt set, each with a beginning of its own so that no prefix can be cached."""

from __future__ import annotations

import random

from tokgate.config.workload import Prompt, PromptSet
from tokgate.drive.client import Request

_DIGITS = 16


def requests_for(prompts: PromptSet, count: int, *, seed: int, max_tokens: int) -> tuple[Request, ...]:
    """`count` requests that go through the set again and again, reproducible by `seed`.

    Each begins with 16 random digits, spaced so that each is one token (and each space at most one more)
    wherever digits are split; the prompt's length in tokens is therefore constant. They stand at the very
    start of a system message, which also keeps a template's default one, equal in all requests, away.
    Raises ValueError for a count below 1.
    """
    if count < 1:
        raise ValueError(f"asked for {count} requests; expected at least 1")
    rng = random.Random(seed)
    leads: dict[str, None] = {}
    while len(leads) < count:
        leads[" ".join(rng.choices("0123456789", k=_DIGITS))] = None
    chosen = (prompts.prompts[index % len(prompts.prompts)] for index in range(count))
    return tuple(
        Request(prompt_id=prompt.id, messages=_led_by(lead, prompt), max_tokens=max_tokens)
        for lead, prompt in zip(leads, chosen, strict=True)
    )


def _led_by(lead: str, prompt: Prompt) -> tuple[dict[str, str], ...]:
    first, *rest = prompt.messages
    if first["role"] != "system":
        return ({"role": "system", "content": lead}, *prompt.messages)
    return ({**first, "content": f"{lead}\n{first['content']}"}, *rest)
