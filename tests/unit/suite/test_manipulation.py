"""What counts as a difference between two arms, as seen from inside."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from tokgate.launch.server import ServerFacts
from tokgate.spec.server import DockerLaunch, Model, ServerSpec
from tokgate.suite.manipulation import differences


class Arm(NamedTuple):
    """A server that is only its facts."""

    facts: ServerFacts
    spec: ServerSpec = ServerSpec(
        name="s",
        description="",
        engine="vllm",
        launch=DockerLaunch(image="i", port=1),
        model=Model(id="m"),
    )

    def check_alive(self) -> None: ...


def arm(**settings: str) -> Arm:
    return Arm(ServerFacts(name="s", engine="vllm", base_url="http://h:1", model="m", settings=settings))


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
def test_a_number_of_the_engine_may_wobble(a: dict[str, str], b: dict[str, str], differ: bool) -> None:
    assert ("settings" in differences(arm(**a), arm(**b))) is differ
