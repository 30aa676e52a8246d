"""Plain HTTP questions to a server, outside any measured time: is it ready, what does it serve, what is it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, build_opener

import msgspec

from tokgate._exceptions import LaunchError, ServerUnreachable
from tokgate.config.server import Engine, ServerSpec

# A proxy from the environment would stand between us and loopback.
_OPENER = build_opener(ProxyHandler({}))
_SHOWN_BYTES = 200


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What one GET brought: status and body, or `error` in words when nothing answered (status None)."""

    url: str
    status: int | None = None
    body: bytes = b""
    error: str = ""

    @property
    def words(self) -> str:
        """The answer as one line for a person."""
        if self.status is None:
            return f"GET {self.url}: {self.error}"
        body = " ".join(self.body[:_SHOWN_BYTES].decode(errors="replace").split())
        return f"GET {self.url} answered {self.status}{f' {body}' if body else ''}"

    def json(self) -> dict[str, object]:
        """The body as an object; empty when it is none, or the answer was not 200."""
        if self.status != 200:
            return {}
        try:
            return msgspec.json.decode(self.body, type=dict[str, object])
        except msgspec.DecodeError:
            return {}


def get(url: str, *, timeout_s: float = 2.0) -> Answer:
    """One GET; never raises for what the server or the network does."""
    try:
        with _OPENER.open(url, timeout=timeout_s) as response:
            return Answer(url=url, status=response.status, body=response.read())
    except HTTPError as error:
        with error:
            return Answer(url=url, status=error.code, body=error.read())
    except URLError as error:
        return Answer(url=url, error=_reason(error.reason, timeout_s))
    except (OSError, HTTPException, ValueError) as error:
        return Answer(url=url, error=_reason(error, timeout_s))


def _reason(error: object, timeout_s: float) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout_s:g} s"
    return str(error) or type(error).__name__


def health_url(engine: Engine, base_url: str) -> str:
    """What is asked to learn whether a server is ready: /health, or /v1/models where an engine has none."""
    return f"{base_url}/v1/models" if engine == "openai" else f"{base_url}/health"


def not_ready(engine: Engine, base_url: str) -> str | None:
    """None when the server answers 200, else what was seen, in words."""
    answer = get(health_url(engine, base_url))
    return None if answer.status == 200 else answer.words


def engine_of(base_url: str) -> Engine:
    """Which engine answers there, by the owner it states of its models; `openai` when it is none we know."""
    models = get(f"{base_url}/v1/models", timeout_s=10).json().get("data")
    first = models[0] if isinstance(models, list) and models else None
    owner = first.get("owned_by") if isinstance(first, dict) else None
    match owner:
        case "llamacpp":
            return "llama.cpp"
        case "vllm":
            return "vllm"
    return "openai"


def served_model(spec: ServerSpec, base_url: str) -> str:
    """`spec.model.id`, after seeing that the server lists it.

    Raises LaunchError that names what is served, ServerUnreachable when /v1/models does not answer.
    """
    answer = get(f"{base_url}/v1/models", timeout_s=10)
    if answer.status != 200:
        raise ServerUnreachable(
            f"server {spec.name}: asked which models it serves; {answer.words} (expected 200)", url=answer.url
        )
    served = _ids(answer.json())
    if spec.model.id not in served:
        raise LaunchError(_not_served(spec.model.id, served, base_url), server=spec.name)
    return spec.model.id


def _ids(listing: dict[str, object]) -> tuple[str, ...]:
    """Every name a request may use: the ids, and llama.cpp's aliases of them."""
    models = listing.get("data")
    names: list[object] = []
    for model in models if isinstance(models, list) else ():
        if isinstance(model, dict):
            aliases = model.get("aliases")
            names += [model.get("id"), *(aliases if isinstance(aliases, list) else ())]
    return tuple(dict.fromkeys(name for name in names if isinstance(name, str)))


def _not_served(wanted: str, served: tuple[str, ...], base_url: str) -> str:
    nearest = _nearest(wanted, served)
    return (
        f"model `{wanted}` is not served; {base_url}/v1/models lists {', '.join(served) or 'nothing'}. "
        + (f"Did you mean `{nearest}`? " if nearest else "")
        + "Next: set `model.id` in the server's YAML to a listed name, or start the server with that name "
        "(vLLM: --served-model-name, llama.cpp: --alias)."
    )


def _nearest(wanted: str, served: Iterable[str]) -> str | None:
    by_key = {name.rsplit("/", 1)[-1].lower(): name for name in served}
    close = difflib.get_close_matches(wanted.rsplit("/", 1)[-1].lower(), by_key, n=1, cutoff=0.4)
    return by_key[close[0]] if close else None


def engine_facts(engine: Engine, base_url: str) -> tuple[str | None, dict[str, str]]:
    """(version, settings) as the engine states them over HTTP: llama.cpp's /props, vLLM's /version."""
    match engine:
        case "llama.cpp":
            props = get(f"{base_url}/props").json()
            return _build(props), _llama_settings(props)
        case "vllm":
            return _text(get(f"{base_url}/version").json().get("version")), {}
        case "openai":
            return None, {}


def _build(props: dict[str, object]) -> str | None:
    """llama.cpp's build, such as b6000-1a2b3c4; a build made outside its repository knows none."""
    build = _text(props.get("build_info"))
    return None if build is None or build.endswith("unknown") else build


def _llama_settings(props: dict[str, object]) -> dict[str, str]:
    generation = props.get("default_generation_settings")
    known = {**generation, **props} if isinstance(generation, dict) else props
    wanted = ("n_ctx", "total_slots", "model_alias", "model_ftype", "model_path", "build_info")
    return {key: str(known[key]) for key in wanted if key in known}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
