"""What Docker says of a container is read, or refused with what is wrong."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate._exceptions import LaunchError
from tokgate.launch.docker.inspection import inspect_container

ANSWER: dict[str, Any] = {
    "Image": "sha256:1",
    "Path": "serve",
    "Args": ["--port", "80"],
    "Config": {"Image": "i:1", "Env": ["A=b"], "Labels": {"x": 1}},
    "HostConfig": {
        "Devices": [{"PathOnHost": "/dev/kfd"}],
        "DeviceRequests": [{"DeviceIDs": None, "Count": -1}],
        "NanoCpus": 5,
    },
    "State": {},
}
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=3), st.just([]), st.just({}), st.just([[1]])
)


def inspect(answer: Any) -> Any:
    return inspect_container(SimpleNamespace(reload=lambda: None, attrs=answer), server="s")  # type: ignore[arg-type]


def test_answer() -> None:
    about = inspect(ANSWER)
    assert (about.image, about.path, about.args, about.config.env) == ("sha256:1", "serve", ("--port", "80"), ("A=b",))
    assert about.host_config.devices[0].path_on_host == "/dev/kfd"
    assert about.host_config.device_requests[0].count == -1


def test_unknown_form() -> None:
    with pytest.raises(
        LaunchError, match=r"server s: Docker describes its container in an unknown form: .*`Path`.* Next: "
    ):
        inspect({key: value for key, value in ANSWER.items() if key != "Path"})


@given(
    key=st.sampled_from(sorted(ANSWER)),
    value=VALUES,
    inner=st.sampled_from([None, "Image", "Env", "Devices", "NanoCpus"]),
)
def test_any_answer(key: str, value: Any, inner: str | None) -> None:
    changed = {**ANSWER[key], inner: value} if inner and isinstance(ANSWER[key], dict) else value
    try:
        about = inspect({**ANSWER, key: changed})
    except LaunchError:
        return
    assert isinstance(about.image, str)
