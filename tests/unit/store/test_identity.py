"""Which server a value belongs to: a new version of a declared server is the same one, another model is not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tokgate.launch.server import ServerFacts
from tokgate.store.identity import Identity, format_address, list_identity_changes, read_identity

DECLARED = ServerFacts(
    name="s",
    engine="llama.cpp",
    engine_version="b1",
    base_url="http://127.0.0.1:8000",
    model="m",
    image="img:1",
    args=("--threads", "2"),
    settings={"model_path": "/models/m-q4.gguf", "n_ctx": "4096"},
)
ATTACHED = msgspec.structs.replace(DECLARED, attached=True, image=None, args=())


def changed(facts: ServerFacts, **changes: Any) -> list[str]:
    return list_identity_changes(read_identity(facts), read_identity(msgspec.structs.replace(facts, **changes)))


@pytest.mark.parametrize(
    ("changes", "declared", "attached"),
    [
        ({}, [], []),
        ({"model": "n"}, ["model: m → n"], ["model: m → n"]),
        (
            {"settings": {"model_path": "/other/m-q8.gguf"}},
            ["weights: m-q4.gguf → m-q8.gguf"],
            ["weights: m-q4.gguf → m-q8.gguf"],
        ),
        ({"settings": {"model_path": "/other/m-q4.gguf"}}, [], []),
        ({"settings": {}}, [], ["weights: m-q4.gguf → unknown"]),
        ({"engine": "vllm"}, [], ["engine: llama.cpp → vllm"]),
        ({"engine_version": "b2"}, [], ["engine_version: b1 → b2"]),
        ({"engine_version": None}, [], ["engine_version: b1 → unknown"]),
        ({"base_url": "http://127.0.0.1:8001"}, [], ["url: http://127.0.0.1:8000 → http://127.0.0.1:8001"]),
        ({"image": "img:2", "args": ("--threads", "1")}, [], []),
    ],
)
def test_what_makes_it_another_server(changes: dict[str, Any], declared: list[str], attached: list[str]) -> None:
    assert changed(DECLARED, **changes) == declared
    assert changed(ATTACHED, **changes) == attached


@pytest.mark.parametrize(
    ("then", "now", "same"),
    [
        ({}, read_identity(DECLARED), True),  # a record of an earlier version
        ({}, read_identity(ATTACHED), False),  # it could be any
        (read_identity(ATTACHED), {"model": "m"}, False),
        ({"model": "m"}, read_identity(DECLARED), True),  # before it is started
    ],
)
def test_what_is_unknown(then: Identity, now: Identity, same: bool) -> None:
    assert (not list_identity_changes(then, now)) is same


def test_an_address_has_no_password() -> None:
    assert format_address("http://me:pass@host:1/v1/") == "http://host:1"
    assert format_address("http://[::1") == "http://[::1", "a wrong one is reported elsewhere"
