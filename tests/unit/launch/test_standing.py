"""What is known of a server without starting it."""

from __future__ import annotations

from pathlib import Path

from tokgate.config.server import AttachLaunch, DockerLaunch, EmbeddedLaunch, Model, ServerSpec
from tokgate.launch.standing import read_standing_facts
from tokgate.machine.daemon import Daemon

DAEMON = Daemon(version="29", images={"some/image:1": "sha256:0123456789"})


def make_spec(folder: Path, **launch: object) -> ServerSpec:
    docker = DockerLaunch(image="some/image:1", port=8000, volumes=(f"{folder}:/models",), **launch)  # type: ignore[arg-type]
    model = Model(id="m", source=str(folder), file="m.gguf")
    return ServerSpec(name="box", description="x", engine="llama.cpp", launch=docker, model=model)


def test_container_has_an_image_and_model_files(tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    file.write_bytes(b"weights")
    facts = read_standing_facts(make_spec(tmp_path), DAEMON)
    assert facts["image id"] == "sha256:0123456789"
    assert facts["model files"] is not None
    assert facts["model files"].startswith("m.gguf m.gguf 7 ")
    assert None not in facts.values()
    changed = read_standing_facts(make_spec(tmp_path, shm_size=1024), DAEMON)
    assert {key for key in facts if facts[key] != changed[key]} == {"launch.shm_size"}


def test_what_cannot_be_read_is_none(tmp_path: Path) -> None:
    """Docker does not answer, or the image or a file is missing; anyone may change a server elsewhere."""
    facts = read_standing_facts(make_spec(tmp_path), Daemon(version=None, error="refused"))
    assert [key for key, value in facts.items() if value is None] == ["image id", "model files"]
    attached = ServerSpec(
        name="there", description="x", engine="openai", launch=AttachLaunch(url="http://x"), model=Model(id="m")
    )
    assert read_standing_facts(attached, DAEMON)["server"] is None
    embedded = ServerSpec(
        name="e", description="x", engine="llama.cpp", launch=EmbeddedLaunch(gguf="nowhere"), model=Model(id="m")
    )
    assert read_standing_facts(embedded, DAEMON)["model files"] is None


def test_model_of_the_hub_is_its_snapshot(tmp_path: Path) -> None:
    """Each file of it: the hub's cache names them by their hash, and a new revision is a new snapshot."""
    snapshot = tmp_path / "hub" / "models--me--m" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    refs = tmp_path / "hub" / "models--me--m" / "refs"
    refs.mkdir()
    (refs / "main").write_text("abc")
    launch = DockerLaunch(image="some/image:1", port=8000, volumes=(f"{tmp_path}:/root/.cache/huggingface",))
    model = Model(id="me/m", source="me/m")
    spec = ServerSpec(name="box", description="x", engine="vllm", launch=launch, model=model)
    files = read_standing_facts(spec, DAEMON)["model files"]
    assert files is not None
    assert files.startswith("config.json ")
    (refs / "main").write_text("def")
    assert read_standing_facts(spec, DAEMON)["model files"] is None
