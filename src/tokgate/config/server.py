"""ServerSpec: one server configuration, as declared in `fixtures/servers/NAME.yaml`."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tokgate._secrets import remember_command, remember_variables, take_credentials
from tokgate.config.base import Spec
from tokgate.config.units import Duration, Size


class Model(Spec, frozen=True, kw_only=True):
    """The model a server holds, with the facts the roofline needs.

    id: name that requests use; the server must list it.
    source: Hugging Face repository, `package:MODULE/FILE`, or a path.
    repository: Hugging Face repository that `file` is fetched from when `source` is a path.
    revision: commit or tag of the repository.
    file: one file of the repository, for example a GGUF file.
    sha256: expected SHA-256 of `file`.
    size: bytes to fetch in all.
    quantisation: format of the weights, for example `FP16` or `Q4_K_M`.
    parameters: number of weights.
    parameters_per_token: weights multiplied for one token (all but the input embedding).
    bytes_per_token: bytes of weights read from memory for one decoded token.
    kv_bytes_per_token: bytes of KV cache for each token of context, read again for every later token.
    random_weights: the weights are random, so the model's answers are not checked.
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
    """A container. In `args`, `{port}` and `{model}` are replaced by the port and the model's path or id.

    image: image reference; it must be on this machine, nothing is pulled.
    port: port the server listens on.
    args: arguments of the image's entry point.
    entrypoint: replaces the image's entry point.
    env: environment variables.
    volumes: mounts, as `docker run --volume` takes them.
    devices: device nodes, as `docker run --device` takes them.
    gpus: NVIDIA GPUs, as `docker run --gpus` takes them: `all`, a number of GPUs, or `device=0,1`.
    device_groups: join the numeric groups that own the device nodes (group names resolve inside the image).
    groups: further groups to join, by name or number.
    cap_add: Linux capabilities to add.
    security_opt: Docker's security options.
    ipc: Docker's IPC mode; `shm_size` has no effect when it is `host`.
    shm_size: size of /dev/shm inside the container.
    network: Docker's network mode.
    cpus: number of CPUs it may use.
    cpuset: CPUs it may use, as Docker writes them (`0-3`, `0,2`).
    memory: memory limit.
    """

    image: Annotated[str, Meta(min_length=1)]
    port: Annotated[int, Meta(ge=1, le=65535)]
    args: tuple[str, ...] = ()
    entrypoint: str | None = None
    env: dict[str, str] = {}
    volumes: tuple[Annotated[str, Meta(pattern=r"^[^:]+:[^:]+(:[^:]+)?$")], ...] = ()
    devices: tuple[str, ...] = ()
    gpus: Annotated[str, Meta(pattern=r"^(all|device=[^,=]+(,[^,=]+)*)$")] | Annotated[int, Meta(ge=1)] | None = None
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

    def __post_init__(self) -> None:
        remember_variables(self.env)
        remember_command(self.args)


class EmbeddedLaunch(Spec, frozen=True, kw_only=True, tag_field="kind", tag="embedded"):
    """llama.cpp's own server, from the xllamacpp wheel, in a subprocess.

    gguf: a path, or `package:MODULE/FILE.gguf` for a file inside an installed package.
    context: tokens of context for each slot.
    parallel: number of slots.
    threads: number of threads; without it, the physical cores the process may use.
    """

    gguf: str
    context: Annotated[int, Meta(ge=64)] = 4096
    parallel: Annotated[int, Meta(ge=1)] = 1
    threads: Annotated[int, Meta(ge=1)] | None = None


class AttachLaunch(Spec, frozen=True, kw_only=True, tag_field="kind", tag="attach"):
    """A server that is already running; tokgate only sends requests to it.

    url: base URL without `/v1`; a user and password in it are sent with each request, and written nowhere.
    """

    url: str

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "url", take_credentials(self.url))


Launch = DockerLaunch | EmbeddedLaunch | AttachLaunch


class ServerSpec(Spec, frozen=True, kw_only=True):
    """One server configuration.

    name: set by the loader, from the file's name.
    description: one line for lists and reports.
    engine: name of the LLM engine (one of `tokgate.engines`), which decides body fields, counters and options.
    launch: how the server is started.
    model: the model it serves.
    start_timeout: time it may take until it is ready.
    request: extra body fields of every request, beside those tokgate sets for the engine.
    """

    name: str = ""
    description: str
    engine: str
    launch: Launch
    model: Model
    start_timeout: Duration = Duration(120)
    request: dict[str, object] = {}

    def __post_init__(self) -> None:
        remember_variables(self.request)
