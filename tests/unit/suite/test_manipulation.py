"""What counts as a difference between two arms, as seen from inside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tokgate.config.catalogue import Catalogue
from tokgate.config.server import DockerLaunch, Model, ServerSpec
from tokgate.launch.server import Server, ServerFacts
from tokgate.suite.manipulation import differences, undeclared

SEEN = dict.fromkeys(("args", "env", "image", "shm_bytes", "container", "request"), "A this, B that")


SPEC = ServerSpec(
    name="s",
    description="",
    engine="vllm",
    launch=DockerLaunch(image="i", port=1),
    model=Model(id="m"),
)


def arm(**settings: str) -> Server:
    """A server that is only its facts."""
    facts = ServerFacts(name="s", engine="vllm", base_url="http://h:1", model="m", settings=settings)
    return Server(spec=SPEC, facts=facts, check_alive=lambda: None)


@pytest.mark.parametrize(
    ("a", "b", "differ"),
    [
        # Two starts of one vLLM, as seen: the cache follows the memory that is free just then.
        ({"kv_cache_tokens": "940800"}, {"kv_cache_tokens": "940672"}, False),
        ({"kv_cache_tokens": "940800"}, {"kv_cache_tokens": "470400"}, True),
        ({"max_concurrency": "229.69"}, {"max_concurrency": "229.66"}, False),
        ({"max_num_batched_tokens": "8192"}, {"max_num_batched_tokens": "32768"}, True),
        ({"dtype": "bfloat16"}, {"dtype": "float16"}, True),
        ({"n": "nan"}, {"n": "nan"}, False),
        ({"kv_cache_tokens": "940800"}, {}, True),
    ],
)
def test_numbers_of_the_engine_may_vary_slightly(a: dict[str, str], b: dict[str, str], differ: bool) -> None:
    assert ("settings" in differences(arm(**a), arm(**b))) is differ


@pytest.mark.parametrize(
    ("override", "explained"),
    [
        ({"args": ["--port", "{port}", "--threads", "2"]}, {"args"}),
        ({"env": {"A": "1"}}, {"env"}),
        ({"shm_size": "128MiB"}, {"shm_bytes", "container"}),
        ({"image": "other"}, {"args", "env", "image"}),
        ({"port": 9}, set()),
        ({}, set()),
    ],
)
def test_undeclared_differences_are_reported(override: dict[str, Any], explained: set[str]) -> None:
    catalogue = Catalogue(Path(__file__).parents[3] / "fixtures")
    a = catalogue.server("llamacpp-cpu")
    b = catalogue.server("llamacpp-cpu", {"launch": override})
    assert undeclared(a, b, SEEN).keys() == SEEN.keys() - explained
