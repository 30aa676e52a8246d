"""A spec whose image rejects one of its options is an error before a container is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from tokgate._exceptions import SpecError
from tokgate.config.catalogue import Catalogue
from tokgate.config.engine_options import image_version

DECLARED = Path(__file__).parents[3] / "fixtures"


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("vllm/vllm-openai-rocm:v0.14.1", (0, 14, 1)),
        ("vllm/vllm-openai:v0.18.0rc1", (0, 18, 0)),
        ("registry.local:5000/vllm:0.32", (0, 32, 0)),
        ("registry.local:5000/vllm", None),
        ("vllm/vllm-openai:latest", None),
        ("vllm/vllm-openai:v0.14.1@sha256:00ff", (0, 14, 1)),
        ("vllm/vllm-openai@sha256:00ff", None),
        ("rocm/vllm:rocm7.0", None),
    ],
)
def test_the_version_is_what_the_tag_begins_with(image: str, version: tuple[int, int, int] | None) -> None:
    assert image_version(image) == version


def _on(tag: str, *args: str) -> None:
    override = {"launch": {"image": f"vllm/vllm-openai-rocm:{tag}", "args": list(args)}}
    Catalogue(DECLARED).server("vllm-current", override)


@pytest.mark.parametrize("arg", ["--swap-space", "--swap_space", "--swap-space=16"])
def test_a_removed_option_is_told_with_its_replacement(arg: str) -> None:
    with pytest.raises(
        SpecError, match=r"vllm 0\.32\.0 .*--swap-space, removed in 0\.18\.0; remove it"
    ) as caught:
        _on("v0.32.0", "--port", "{port}", arg)
    assert caught.value.key == "launch.args[2]"


def test_the_place_is_that_of_the_file_that_has_the_option(tmp_path: Path) -> None:
    servers = tmp_path / "servers"
    servers.mkdir()
    (servers / "old.yaml").write_text((DECLARED / "servers" / "vllm-amd.yaml").read_text())
    (servers / "vllm-current.yaml").write_text((DECLARED / "servers" / "vllm-current.yaml").read_text())
    (servers / "new.yaml").write_text("extends: old\nlaunch:\n  image: vllm/vllm-openai-rocm:v0.17.0\n")
    with pytest.raises(SpecError, match=r"--disable-log-requests.*write --no-enable-log-requests") as caught:
        Catalogue(tmp_path).server("new")
    lines = caught.value.file.read_text().splitlines()
    assert caught.value.file.name == "old.yaml"
    assert caught.value.line is not None
    assert "--disable-log-requests" in lines[caught.value.line - 1]


def test_what_the_version_still_accepts_is_no_error() -> None:
    _on("v0.17.0", "--swap-space", "16")
    _on("v0.16.9", "--disable-log-requests")
    _on("latest", "--swap-space", "16")
    _on("v0.32.0", "--no-enable-log-requests")
