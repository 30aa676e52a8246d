"""Identity: which server a value belongs to. Values of another model, or of another attached server, are not compared.

A new image or version of a declared server is what the gate is for, so it is compared. Of a server that somebody else
started nothing is declared: another engine, version or address is another server.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

from tokgate._secrets import strip_credentials
from tokgate.launch.server import ServerFacts

Identity = dict[str, str]
"""`model` and, where the server states it, `weights` (the name of their file or repository); of an attached server also
`engine`, `engine_version` and `url`. Empty: unknown, as in records of earlier versions."""

_WEIGHTS = ("model_path", "model")  # settings in which llama.cpp and vLLM state what they have loaded


def read_identity(facts: ServerFacts) -> Identity:
    """What a live server says about itself."""
    identity = {"model": facts.model}
    if weights := next((facts.settings[key] for key in _WEIGHTS if facts.settings.get(key)), ""):
        identity["weights"] = PurePosixPath(weights).name
    if facts.attached:
        identity |= {
            "engine": facts.engine,
            "engine_version": facts.engine_version or "unknown",
            "url": format_address(facts.base_url),
        }
    return identity


def format_address(url: str) -> str:
    """The base URL without a user name and password."""
    return strip_credentials(url).rstrip("/").removesuffix("/v1")


def list_identity_changes(then: Identity, now: Identity) -> list[str]:
    """`model: a → b` for each difference; empty for the same server.

    What is unknown on one side differs only of an attached server: it could be any.
    """
    attached = "url" in then or "url" in now
    return [
        f"{key}: {then.get(key, 'unknown')} → {now.get(key, 'unknown')}"
        for key in dict.fromkeys((*then, *now))
        if then.get(key) != now.get(key) and (attached or (key in then and key in now))
    ]


def is_wanted(server: str, then: Identity, identities: Mapping[str, Identity]) -> bool:
    """Whether a value of a server counts. identities: by server, which one is wanted; any of a server that it lacks."""
    return server not in identities or not list_identity_changes(then, identities[server])
