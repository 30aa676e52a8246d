"""From a spec to what Docker is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tokgate._exceptions import LaunchError, ModelMissing
from tokgate.config.server import DockerLaunch, Model, ServerSpec
from tokgate.config.units import Size
from tokgate.launch.docker.options import (
    build_command,
    build_container_options,
    check_files,
    locate_model,
    read_device_gids,
)


def docker(model: Model | None = None, **launch: Any) -> ServerSpec:
    return ServerSpec(
        name="x",
        description="",
        engine="vllm",
        launch=DockerLaunch(image="an/image:1", port=8000, **launch),
        model=model or Model(id="m"),
    )


def test_options_of_an_empty_spec() -> None:
    assert build_container_options(docker()) == {
        "image": "an/image:1",
        "ipc_mode": "private",
        "network_mode": "host",
    }


def test_options_of_a_full_spec(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELS", "/srv/models")
    monkeypatch.setenv("HOME", "/home/u")
    spec = docker(
        args=("--port", "{port}", "--json", '{"a": {"b": 1}}'),
        entrypoint="serve",
        env={"A": "1"},
        volumes=("$MODELS:/models:ro", "~/cache:/cache", "named:/data"),
        devices=("/dev/null",),
        groups=("video",),
        cap_add=("SYS_PTRACE",),
        security_opt=("seccomp=unconfined",),
        shm_size=Size.parse("16GiB"),
        network="bridge",
        cpus=1.5,
        cpuset="0-1,3",
        memory=Size.parse("1GB"),
    )
    assert build_container_options(spec) == {
        "image": "an/image:1",
        "command": ["--port", "8000", "--json", '{"a": {"b": 1}}'],
        "entrypoint": "serve",
        "environment": {"A": "1"},
        "volumes": ["/srv/models:/models:ro", "/home/u/cache:/cache", "named:/data"],
        "devices": ["/dev/null"],
        "group_add": ["video"],
        "cap_add": ["SYS_PTRACE"],
        "security_opt": ["seccomp=unconfined"],
        "ipc_mode": "private",
        "shm_size": 16 * 1024**3,
        "network_mode": "bridge",
        "ports": {"8000/tcp": ("127.0.0.1", 8000)},
        "nano_cpus": 1_500_000_000,
        "cpuset_cpus": "0-1,3",
        "mem_limit": 1_000_000_000,
    }


@pytest.mark.parametrize(
    ("gpus", "count", "ids"),
    [("all", -1, []), (2, 2, []), ("device=0", 0, ["0"]), ("device=1,GPU-7", 0, ["1", "GPU-7"])],
)
def test_gpus(gpus: str | int, count: int, ids: list[str]) -> None:
    (request,) = build_container_options(docker(gpus=gpus))["device_requests"]
    assert (request["Count"], request["DeviceIDs"], request["Capabilities"]) == (count, ids, [["gpu"]])


def test_device_groups(tmp_path: Path) -> None:
    """Device groups are the numeric owners of the nodes, and of those inside a folder."""
    (tmp_path / "dri" / "by-path").mkdir(parents=True)
    for name in ("kfd", "dri/card1", "dri/renderD128"):
        (tmp_path / name).touch()
    gid = (tmp_path / "kfd").stat().st_gid
    devices = (str(tmp_path / "kfd"), f"{tmp_path}/dri:/dev/dri:rwm")
    assert read_device_gids(devices, server="x") == (gid,)
    options = build_container_options(docker(devices=devices, device_groups=True, groups=("44",)))
    assert options["group_add"] == [gid, "44"]


def test_missing_device_is_named(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match=rf"server x: device {tmp_path}/kfd does not exist"):
        read_device_gids((f"{tmp_path}/kfd",), server="x")


@pytest.mark.parametrize(
    ("model", "inside"),
    [
        (Model(id="m"), "m"),
        (Model(id="m", source="Org/Model-14B"), "Org/Model-14B"),
        (Model(id="m", source="package:some_module/x.gguf"), "m"),
        (Model(id="m", source="/srv/models/x.gguf"), "/models/x.gguf"),
        (Model(id="m", source="/srv/models", file="q4/x.gguf"), "/models/q4/x.gguf"),
        (Model(id="m", source="/in/the/image.gguf"), "/in/the/image.gguf"),
    ],
)
def test_model_placeholder(model: Model, inside: str) -> None:
    """`{model}` is the path inside the container, else the repository or the id."""
    spec = docker(model, volumes=("/srv/models:/models:ro",), args=("-m", "{model}"))
    assert locate_model(spec) == inside
    assert build_command(spec) == ("-m", inside)


def test_missing_files_by_their_path_on_the_host(tmp_path: Path) -> None:
    (tmp_path / "here.gguf").touch()
    volumes = (f"{tmp_path}:/models:ro", "named:/models/cache")
    check_files(docker(volumes=volumes, args=("-m", "/models/here.gguf", "--other=/elsewhere/x.gguf")))
    with pytest.raises(
        ModelMissing, match=rf"{tmp_path}/gone.gguf does not exist .*inside the container: /models/gone.gguf"
    ):
        check_files(docker(volumes=volumes, args=("--model=/models/gone.gguf",)))
    with pytest.raises(ModelMissing, match=rf"{tmp_path}/weights does not exist"):
        check_files(docker(Model(id="m", source=f"{tmp_path}/weights"), volumes=volumes, args=("{model}",)))
    with pytest.raises(ModelMissing, match=rf"{tmp_path}/none does not exist, .*at /x"):
        check_files(docker(volumes=(f"{tmp_path}/none:/x",)))
