"""The container of each server is the one the owner's own `docker run` line makes, flag by flag."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest

from tokgate._exceptions import SpecError, UsageError
from tokgate.config.catalogue import Catalogue
from tokgate.launch.docker.run_line import format_docker_run

CATALOGUE = Catalogue(Path(__file__).parents[3] / "fixtures")
IMAGE = "vllm/vllm-openai-rocm:v0.14.1"

# The owner's analysis, as written: its optimised start-up, with AMD's settings marked.
OPTIMISED = r"""
docker run -d \
  --name vllm-server \
  --network=host \
  --ipc=host \
  --shm-size 16G \                    # ADD THIS (AMD recommendation)
  --group-add video \
  --cap-add SYS_PTRACE \
  --security-opt seccomp=unconfined \
  --security-opt apparmor=unconfined \  # ADD THIS (AMD recommendation)
  --device /dev/kfd \
  --device /dev/dri \
  -v $HOME/.cache/huggingface:/root/.cache/huggingface \
  -e HIP_VISIBLE_DEVICES=0 \
  -e HSA_ENABLE_SDMA=1 \
  -e HUGGINGFACE_HUB_CACHE=/root/.cache/huggingface \  # ADD THIS
  vllm/vllm-openai-rocm:v0.14.1 \
  --model "Qwen/Qwen2.5-14B-Instruct" \
  --dtype float16 \
  --gpu-memory-utilization 0.9 \        # Changed from 0.92
  --max-model-len 8192 \
  --max-num-batched-tokens 32768 \      # Increased from 8192
  --max-num-seqs 512 \                  # ADD THIS
  --swap-space 16 \
  --enable-chunked-prefill \
  --trust-remote-code \
  --disable-log-requests \              # ADD THIS (cleaner logs)
  --port 8000
"""
# The present start-up is the same line without what is marked ADD THIS, and with the figures before the change.
CURRENT = "\n".join(
    re.sub(r"0\.9 .*from 0\.92|32768 .*from 8192", lambda m: f"{m[0].rsplit(' ', 1)[1]} \\\\", line)
    for line in OPTIMISED.splitlines()
    if "ADD THIS" not in line
)

Flags = list[tuple[str, str]]


def flags(line: str) -> tuple[Flags, Flags]:
    """(Docker's flags but the name, the engine's flags), each sorted."""
    plain = re.sub(r"\s*\\?\s*#.*", "", os.path.expandvars(line)).replace("\\", "")
    _, _, words = plain.partition("docker run -d")
    tokens = [part for word in shlex.split(words) for part in (word.split("=", 1) if "--" in word else [word])]
    at = tokens.index(IMAGE)
    docker, engine = _pairs(tokens[:at]), _pairs(tokens[at + 1 :])
    return [pair for pair in docker if pair[0] != "--name"], engine


def _pairs(tokens: list[str]) -> Flags:
    pairs: Flags = []
    for token in tokens:
        if token.startswith("-"):
            pairs.append((token, ""))
        else:
            assert pairs[-1][1] == "", f"{token} belongs to no flag"
            pairs[-1] = (pairs[-1][0], token)
    return sorted(pairs)


def test_the_document_is_read_whole() -> None:
    docker, engine = flags(OPTIMISED)
    assert (len(docker), len(engine)) == (13, 11)
    docker, engine = flags(CURRENT)
    assert (len(docker), len(engine)) == (10, 9)
    assert ("--gpu-memory-utilization", "0.92") in engine
    assert ("--max-num-batched-tokens", "8192") in engine


@pytest.mark.parametrize(("server", "line"), [("vllm-amd", OPTIMISED), ("vllm-current", CURRENT)])
def test_a_server_is_started_as_the_owner_starts_it(server: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/owner")
    assert flags(format_docker_run(CATALOGUE.server(server))) == flags(line)


def test_groups_without_the_device() -> None:
    """Where the device is missing, the line asks for its numeric group with `stat`."""
    line = format_docker_run(CATALOGUE.server("llamacpp-rocm", {"launch": {"devices": ["/dev/not-there"]}}))
    assert '--group-add "$(stat -c %g /dev/not-there)"' in line
    owner = Path("/dev/null").stat().st_gid
    line = format_docker_run(CATALOGUE.server("llamacpp-rocm", {"launch": {"devices": ["/dev/null"]}}))
    assert f"--group-add {owner}" in line


def test_ports_and_limits() -> None:
    launch = {
        "network": "bridge",
        "cpus": 1.5,
        "cpuset": "0-1,3",
        "memory": "1GB",
        "ipc": "private",
        "shm_size": "64MiB",
    }
    line = format_docker_run(CATALOGUE.server("vllm-current", {"launch": launch}))
    for wanted in (
        "-p 127.0.0.1:8000:8000/tcp",
        "--cpus 1.5",
        "--cpuset-cpus 0-1,3",
        "--memory 1000000000",
        "--shm-size 67108864",
    ):
        assert wanted in line


@pytest.mark.parametrize(
    ("gpus", "flag"), [("all", "--gpus all"), (1, "--gpus 1"), ("device=0,2", """--gpus '"device=0,2"'""")]
)
def test_gpus(gpus: str | int, flag: str) -> None:
    assert flag in format_docker_run(CATALOGUE.server("vllm-current", {"launch": {"gpus": gpus}}))


@pytest.mark.parametrize("gpus", ["some", 0, "device=", "device=0,", "all,capabilities=utility"])
def test_other_gpus_are_rejected(gpus: object) -> None:
    with pytest.raises(SpecError, match="gpus"):
        CATALOGUE.server("vllm-current", {"launch": {"gpus": gpus}})


def test_a_server_without_a_container_has_no_line() -> None:
    with pytest.raises(UsageError, match="embedded-smollm2 does not run in a container"):
        format_docker_run(CATALOGUE.server("embedded-smollm2"))
