"""Each engine is recognized by its answers, and knows what a request needs and what its pages state."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tokgate import engines
from tokgate.engines import ENGINES, FALLBACK, find, identify

ALIVE = "Ollama is running"


def owned(owner: str) -> dict[str, object]:
    return {"/v1/models": {"object": "list", "data": [{"id": "m", "object": "model", "owned_by": owner}]}}


@pytest.mark.parametrize(
    ("name", "pages"),
    [
        ("vllm", owned("vllm")),
        ("llama.cpp", owned("llamacpp")),
        ("sglang", owned("sglang")),
        ("sglang", owned("sglang") | {"/": ALIVE}),  # it imitates Ollama's API
        ("lemonade", owned("lemonade") | {"/": ALIVE}),
        ("llama-swap", owned("llama-swap")),
        ("ollama", owned("library") | {"/": f"{ALIVE}\n"}),
        ("ollama", {"/v1/models": {"object": "list", "data": None}, "/": ALIVE}),
        ("openai", owned("somebody")),
        ("openai", owned("vllm-fork")),
        ("openai", {"/v1/models": {"data": []}, "/": {"detail": "Not Found"}}),
        ("openai", {"/v1/models": "<html>"}),
        ("openai", {}),
    ],
)
def test_identify(name: str, pages: Mapping[str, object]) -> None:
    assert identify(pages.get).name == name


def test_each_page_is_read_once() -> None:
    asked: list[str] = []
    identify(asked.append)
    assert asked == ["/v1/models", "/"]


def test_one_fallback_and_unique_names() -> None:
    """Only the fallback has no marks; it is tried last."""
    assert [engine for engine in ENGINES if engine.is_fallback] == [FALLBACK] == [ENGINES[-1]]
    assert FALLBACK.name == "openai"
    assert len({engine.name for engine in ENGINES}) == len(ENGINES)
    for engine in ENGINES:
        assert find(engine.name) is engine
    with pytest.raises(KeyError):
        engines.find("xyzzy")


@pytest.mark.parametrize(
    ("name", "timed", "canary"),
    [
        ("vllm", {"ignore_eos": True}, {"ignore_eos": False}),
        ("sglang", {"ignore_eos": True}, {"ignore_eos": False}),
        (
            "llama.cpp",
            {"ignore_eos": True, "cache_prompt": False},
            {"ignore_eos": False, "cache_prompt": False},
        ),
        (
            "lemonade",
            {"ignore_eos": True, "cache_prompt": False},
            {"ignore_eos": False, "cache_prompt": False},
        ),
        (
            "llama-swap",
            {"ignore_eos": True, "cache_prompt": False},
            {"ignore_eos": False, "cache_prompt": False},
        ),
        ("ollama", {}, {}),
        ("openai", {}, {}),
    ],
)
def test_bodies(name: str, timed: dict[str, object], canary: dict[str, object]) -> None:
    engine = find(name)
    assert engine.timed_body({}) == timed
    assert engine.canary_body({}) == canary
    assert (engine.fixed_length is None) == (not timed)


def test_declared_fields_override_the_engine() -> None:
    """Except for the end of a canary's answer."""
    declared = {"cache_prompt": True, "ignore_eos": True, "top_k": 1}
    assert find("llama.cpp").timed_body(declared) == declared
    assert find("llama.cpp").canary_body(declared) == declared | {"ignore_eos": False}


@pytest.mark.parametrize(
    ("name", "page", "version", "settings"),
    [
        ("vllm", {"version": "0.14.1"}, "0.14.1", {}),
        (
            "llama.cpp",
            {
                "build_info": "b6000-1a2b3c4",
                "total_slots": 4,
                "model_path": "/m.gguf",
                "default_generation_settings": {"n_ctx": 512, "params": {}},
            },
            "b6000-1a2b3c4",
            {"n_ctx": "512", "total_slots": "4", "model_path": "/m.gguf", "build_info": "b6000-1a2b3c4"},
        ),
        ("llama.cpp", {"build_info": "b0-unknown"}, None, {"build_info": "b0-unknown"}),
        (
            "sglang",
            {"version": "0.5.6", "tp_size": 1, "mem_fraction_static": 0.88, "quantization": None, "x": 1},
            "0.5.6",
            {"tp_size": "1", "mem_fraction_static": "0.88"},
        ),
        ("ollama", {"version": "0.30.7"}, "0.30.7", {}),
        ("lemonade", {"status": "ok", "version": "10.3.0", "model_loaded": "m"}, "10.3.0", {}),
        ("llama-swap", {"version": "216", "commit": "abc", "build_date": "2026"}, "216", {}),
        ("openai", {"version": ""}, None, {}),
        ("vllm", {}, None, {}),
    ],
)
def test_info_page(name: str, page: dict[str, object], version: str | None, settings: dict[str, str]) -> None:
    assert find(name).read_version(page) == version
    assert find(name).read_settings(page) == settings
