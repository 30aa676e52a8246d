"""An unknown engine, and an option that the image rejects, are errors before a container is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from tokgate._exceptions import SpecError
from tokgate.engines.specs import image_version, open_catalogue

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
def test_image_version(image: str, version: tuple[int, int, int] | None) -> None:
    assert image_version(image) == version


def _on(tag: str, *args: str) -> None:
    override = {"launch": {"image": f"vllm/vllm-openai-rocm:{tag}", "args": list(args)}}
    open_catalogue(DECLARED).server("vllm-current", override)


@pytest.mark.parametrize("arg", ["--swap-space", "--swap_space", "--swap-space=16"])
def test_removed_option_has_a_replacement(arg: str) -> None:
    with pytest.raises(SpecError, match=r"vllm 0\.32\.0 .*--swap-space, removed in 0\.18\.0; remove it") as caught:
        _on("v0.32.0", "--port", "{port}", arg)
    assert caught.value.key == "launch.args[2]"


def test_error_points_at_the_inherited_line(tmp_path: Path) -> None:
    """The file and line are those of the file that has the option, not of the one that extends it."""
    servers = tmp_path / "servers"
    servers.mkdir()
    (servers / "old.yaml").write_text((DECLARED / "servers" / "vllm-amd.yaml").read_text())
    (servers / "vllm-current.yaml").write_text((DECLARED / "servers" / "vllm-current.yaml").read_text())
    (servers / "new.yaml").write_text("extends: old\nlaunch:\n  image: vllm/vllm-openai-rocm:v0.17.0\n")
    with pytest.raises(SpecError, match=r"--disable-log-requests.*write --no-enable-log-requests") as caught:
        open_catalogue(tmp_path).server("new")
    lines = caught.value.file.read_text().splitlines()
    assert caught.value.file.name == "old.yaml"
    assert caught.value.line is not None
    assert "--disable-log-requests" in lines[caught.value.line - 1]


def test_accepted_options() -> None:
    _on("v0.17.0", "--swap-space", "16")
    _on("v0.16.9", "--disable-log-requests")
    _on("latest", "--swap-space", "16")
    _on("v0.32.0", "--no-enable-log-requests")


def test_every_declared_server_is_valid() -> None:
    errors = [result for *_, result in open_catalogue(DECLARED).check() if isinstance(result, SpecError)]
    assert errors == []


def test_unknown_engine(tmp_path: Path) -> None:
    """The error names file, line and the nearest engine, or all of them."""
    file = tmp_path / "servers" / "box.yaml"
    file.parent.mkdir()
    server = (DECLARED / "servers" / "embedded-smollm2.yaml").read_text()
    for wrong, hint in (("lama.cpp", "did you mean `llama.cpp`"), ("xyzzy", "valid: .*sglang.*vllm")):
        file.write_text(server.replace("engine: llama.cpp", f"engine: {wrong}"))
        with pytest.raises(SpecError, match=f"unknown engine '{wrong}'; {hint}") as caught:
            open_catalogue(tmp_path).server("box")
        assert (caught.value.file, caught.value.line, caught.value.key) == (file, 2, "engine")
