"""ServerSpec: one server configuration, as declared in `fixtures/servers/NAME.yaml`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from tokgate.config.base import Spec
from tokgate.config.units import Duration, Size

Engine = Literal["vllm", "llama.cpp", "openai"]


class Model(Spec, frozen=True, kw_only=True):
    """The model a server holds, with the facts the roofline needs.

    id: the name requests use; it must be one the server lists.
    source: Hugging Face repository, `package:MODULE/FILE` or a path; revision and file pick inside it.
    repository: where `file` is fetched from when source is a path; size: bytes to fetch in all.
    parameters_per_token: weights multiplied for one token (all but the input embedding).
    bytes_per_token: weights read from memory for one decoded token (the same ones, in their format).
    kv_bytes_per_token: KV cache of each token of context, read again for every token after it.
    random_weights: its text is garbage by design, so that its answers are no sign of a fault.
    """

    id: str
    source: str | None = None
    repository: str | None = None
    revision: str | None = None
    file: str | None = None
    sha256: str | None = None
    size: Size | None = None
    quantisation: str | None = None
    parameters: float | None = None
    parameters_per_token: float | None = None
    bytes_per_token: Size | None = None
    kv_bytes_per_token: Size | None = None
    random_weights: bool = False

    def bytes_read(self, context: float) -> float | None:
        """Bytes read for one decoded token behind `context` tokens: weights and KV cache; None when not stated."""
        if self.bytes_per_token is None:
            return None
        return self.bytes_per_token + (self.kv_bytes_per_token or 0) * context


class DockerLaunch(Spec, frozen=True, kw_only=True, tag_field="kind", tag="docker"):
    """A container. `{port}` and `{model}` in args stand for the port and the model's path or id.

    device_groups: join the numeric groups that own the device nodes (names resolve inside the image).
    ipc: Docker's ipc mode; shm_size has an effect only when it is not `host`.
    cpus: how many it may use; cpuset: which ones, as Docker writes them (`0-3`, `0,2`).
    """

    image: str
    port: Annotated[int, Meta(ge=1, le=65535)]
    args: tuple[str, ...] = ()
    entrypoint: str | None = None
    env: dict[str, str] = {}
    volumes: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    device_groups: bool = False
    groups: tuple[str, ...] = ()
    cap_add: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ()
    ipc: Literal["private", "host", "shareable", "none"] = "private"
    shm_size: Size | None = None
    network: str = "host"
    cpus: Annotated[float, Meta(gt=0)] | None = None
    cpuset: Annotated[str, Meta(pattern=r"^\d+(-\d+)?(,\d+(-\d+)?)*$")] | None = None
    memory: Size | None = None


class EmbeddedLaunch(Spec, frozen=True, kw_only=True, tag_field="kind", tag="embedded"):
    """llama.cpp's own server, from the xllamacpp wheel, in a subprocess.

    gguf: a path, or `package:MODULE/FILE.gguf` for a file inside an installed package.
    context: tokens for each slot; parallel: slots; threads: None for the physical cores it may use.
    """

    gguf: str
    context: Annotated[int, Meta(ge=64)] = 4096
    parallel: Annotated[int, Meta(ge=1)] = 1
    threads: Annotated[int, Meta(ge=1)] | None = None


class AttachLaunch(Spec, frozen=True, kw_only=True, tag_field="kind", tag="attach"):
    """A server somebody else started; tokgate only talks to it. url: up to but without `/v1`."""

    url: str


Launch = DockerLaunch | EmbeddedLaunch | AttachLaunch


class ServerSpec(Spec, frozen=True, kw_only=True):
    """One server configuration.

    name: the file's stem, set by the loader.
    start_timeout: how long it may take until it is ready.
    request: extra body fields of every request, beside those tokgate sets for the engine.
    """

    name: str = ""
    description: str
    engine: Engine
    launch: Launch
    model: Model
    start_timeout: Duration = Duration(120)
    request: dict[str, object] = {}
