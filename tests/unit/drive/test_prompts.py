"""Requests share no beginning, are as long as each other, and come again the same by their seed."""

from __future__ import annotations

import pytest

from tokgate.config.workload import Prompt, PromptSet
from tokgate.drive.prompts import make_requests

USER = Prompt(id="user", messages=({"role": "user", "content": "hi"},))
SYSTEM = Prompt(id="system", messages=({"role": "system", "content": "be kind"}, {"role": "user", "content": "hi"}))
PROMPTS = PromptSet(name="both", sha256="", prompts=(USER, SYSTEM))


def leads(seed: int, count: int = 100) -> list[str]:
    requests = make_requests(PROMPTS, count, seed=seed, max_tokens=8)
    return [request.messages[0]["content"].partition("\n")[0] for request in requests]


def test_requests_cycle_through_the_set() -> None:
    requests = make_requests(PROMPTS, 5, seed=1, max_tokens=8)
    assert [request.prompt_id for request in requests] == ["user", "system", "user", "system", "user"]
    assert {request.max_tokens for request in requests} == {8}


def test_prefixes_are_unique() -> None:
    """Each request starts with its own digits in a system message."""
    first, second = make_requests(PROMPTS, 2, seed=1, max_tokens=8)
    assert [message["role"] for message in first.messages] == ["system", "user"]
    assert [message["role"] for message in second.messages] == ["system", "user"]
    assert second.messages[0]["content"].endswith("\nbe kind")
    assert first.messages[1:] == USER.messages
    assert len(set(leads(1, 1000))) == 1000


def test_prefix_is_sixteen_digits() -> None:
    for lead in leads(1):
        digits = lead.split(" ")
        assert len(digits) == 16
        assert all(len(digit) == 1 and digit.isdigit() for digit in digits)


def test_seed() -> None:
    """The same seed makes the same requests."""
    assert leads(1) == leads(1)
    assert not set(leads(1)) & set(leads(2))


def test_count_below_one_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"count must be at least 1 \(got 0\)"):
        make_requests(PROMPTS, 0, seed=1, max_tokens=8)
