"""Plain HTTP requests to a server, outside any measured time: is it ready, which engine and models has it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from http.client import HTTPException, IncompleteRead
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, build_opener

import msgspec

from tokgate import engines
from tokgate._exceptions import LaunchError, ServerUnreachable
from tokgate.config.server import ServerSpec
from tokgate.engines.engine import Engine

# A proxy from the environment must not get requests to loopback.
_OPENER = build_opener(ProxyHandler({}))
_SHOWN_BYTES = 200  # of an answer in a message: enough for an error's text, too little for a page of HTML
_PAGE_TIMEOUT_S = 10  # a busy server may take longer to list its models than to say that it is well


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one GET: status and body, or `error` as text when nothing answered (status None)."""

    url: str
    status: int | None = None
    body: bytes = b""
    error: str = ""

    @property
    def summary(self) -> str:
        """The answer as one line of a message."""
        if self.status is None:
            return f"GET {self.url}: {self.error}"
        body = " ".join(self.body[:_SHOWN_BYTES].decode(errors="replace").split())
        return f"GET {self.url} answered {self.status}{f' {body}' if body else ''}"

    def content(self) -> object:
        """The body as decoded JSON, as text when it is none; None when the answer was not 200."""
        if self.status != 200:
            return None
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self.body.decode(errors="replace")

    def json(self) -> dict[str, object]:
        """The body as a JSON object; empty when it is none, or the answer was not 200."""
        content = self.content()
        return content if isinstance(content, dict) else {}


def get(url: str, *, timeout_s: float = 2.0) -> Answer:
    """One GET; never raises for what the server or the network does."""
    try:
        with _OPENER.open(url, timeout=timeout_s) as response:
            return Answer(url=url, status=response.status, body=response.read())
    except HTTPError as error:
        with error:
            return Answer(url=url, status=error.code, body=_read_rest(error))
    except URLError as error:
        return Answer(url=url, error=_reason(error.reason, timeout_s))
    except (OSError, HTTPException, ValueError) as error:
        return Answer(url=url, error=_reason(error, timeout_s))


def _read_rest(error: HTTPError) -> bytes:
    """The body of an answer other than 200: as much as came, since the status says what counts."""
    try:
        return error.read()
    except IncompleteRead as cut:
        return cut.partial
    except (OSError, HTTPException):
        return b""


def _reason(error: object, timeout_s: float) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout_s:g} s"
    return str(error) or type(error).__name__


def check_health(engine: Engine, base_url: str) -> str | None:
    """None when the server answers 200 on its health page, else what it answered."""
    answer = get(f"{base_url}{engine.health}")
    return None if answer.status == 200 else answer.summary


def find_engine(base_url: str) -> Engine:
    """Which engine answers there, by how each one identifies itself."""
    return engines.identify(lambda path: get(f"{base_url}{path}", timeout_s=_PAGE_TIMEOUT_S).content())


def check_model(spec: ServerSpec, engine: Engine, base_url: str) -> str:
    """`spec.model.id`, after checking that the server lists it.

    Raises LaunchError that names the models it lists, ServerUnreachable when /v1/models does not answer.
    """
    answer = get(f"{base_url}/v1/models", timeout_s=_PAGE_TIMEOUT_S)
    if answer.status != 200:
        raise ServerUnreachable(
            f"server {spec.name}: could not list its models: {answer.summary} (expected 200)", url=answer.url
        )
    served = _ids(answer.json())
    if spec.model.id not in served:
        raise LaunchError(_not_served(spec.model.id, served, engine, base_url), server=spec.name)
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


def _not_served(wanted: str, served: tuple[str, ...], engine: Engine, base_url: str) -> str:
    nearest = _nearest(wanted, served)
    rename = f" ({engine.name}: {engine.rename})" if engine.rename else ""
    return (
        f"model `{wanted}` is not served; {base_url}/v1/models lists {', '.join(served) or 'nothing'}. "
        + (f"Did you mean `{nearest}`? " if nearest else "")
        + f"Next: set `model.id` in the server's YAML to a listed name, or start the server with that name{rename}."
    )


def _nearest(wanted: str, served: Iterable[str]) -> str | None:
    by_key = {name.rsplit("/", 1)[-1].lower(): name for name in served}
    close = difflib.get_close_matches(wanted.rsplit("/", 1)[-1].lower(), by_key, n=1, cutoff=0.4)
    return by_key[close[0]] if close else None


def read_info(engine: Engine, base_url: str) -> tuple[str | None, dict[str, str]]:
    """(version, settings) as the engine states them over HTTP."""
    page: dict[str, object] = {}
    for path in engine.info:
        page |= get(f"{base_url}{path}").json()
    return engine.read_version(page), engine.read_settings(page)
