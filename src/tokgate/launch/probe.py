"""What a server says about itself, outside any measured time: is it ready, which engine and models has it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from tokgate import engines
from tokgate._exceptions import LaunchError, ServerUnreachable
from tokgate.config.bounds import PAGE_S
from tokgate.config.server import ServerSpec
from tokgate.engines.engine import Engine
from tokgate.launch.http import get


def check_health(engine: Engine, base_url: str) -> str | None:
    """None when the server answers 200 on its health page, else what it answered."""
    answer = get(f"{base_url}{engine.health}")
    return None if answer.status == 200 else answer.summary


def find_engine(base_url: str) -> Engine:
    """Which engine answers there, by how each one identifies itself."""
    return engines.identify(lambda path: get(f"{base_url}{path}", timeout_s=PAGE_S).content())


def check_model(spec: ServerSpec, engine: Engine, base_url: str) -> str:
    """`spec.model.id`, after checking that the server lists it.

    Raises LaunchError that names the models it lists, ServerUnreachable when /v1/models does not answer.
    """
    answer = get(f"{base_url}/v1/models", timeout_s=PAGE_S)
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
