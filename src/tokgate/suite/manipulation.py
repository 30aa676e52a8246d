"""The manipulation check: what differs between two arms of an experiment, as seen from inside."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from tokgate.config.server import ServerSpec
from tokgate.launch.server import Server, ServerFacts

_COMMAND = frozenset({"args", "settings"})
_LIMITS = frozenset({"container", "settings", "shm_bytes"})
_EVERYTHING = frozenset(
    {"engine", "engine_version", "image", "model", "shm_bytes", "args", "env", "container", "settings"}
)
_SHOWS_IN = {
    "engine": _EVERYTHING,
    "kind": _EVERYTHING,
    "image": _EVERYTHING - {"shm_bytes", "container"},
    "model": _COMMAND | {"model"},
    "env": frozenset({"env", "settings"}),
    "request": frozenset({"request"}),
} | dict.fromkeys(("args", "entrypoint", "gguf", "context", "parallel", "threads"), _COMMAND)
"""By declared key, the facts it may change; all other keys of `launch` are limits of the container."""

_NO_TREATMENT = frozenset({"name", "description", "start_timeout", "port"})


def differences(a: Server, b: Server, *, names: tuple[str, str] = ("A", "B")) -> dict[str, str]:
    """By fact, `A: …, B: …` for what differs inside. names: of the arms.

    Ports, processes, logs and times do not count, nor do differences below 1 % in a number of the engine's
    settings: vLLM sizes its KV cache by the memory that is free when it starts.
    """
    first, second = _facts(a), _facts(b)
    same = {key: first[key] == second[key] for key in first}
    same["settings"] = _same_settings(a.facts.settings, b.facts.settings)
    return {key: _describe(first[key], second[key], names) for key in first if not same[key]}


def undeclared(a: ServerSpec, b: ServerSpec, seen: dict[str, str]) -> dict[str, str]:
    """Those of the differences in `seen` that no declared difference of the two specs explains."""
    declared = {key for key, value in _declared(a).items() if value != _declared(b).get(key)}
    declared |= _declared(b).keys() - _declared(a).keys()
    allowed = frozenset().union(*(_SHOWS_IN.get(key, _LIMITS) for key in declared - _NO_TREATMENT))
    return {key: text for key, text in seen.items() if key not in allowed}


def _declared(spec: ServerSpec) -> dict[str, object]:
    launch = msgspec.structs.asdict(spec.launch) | {"kind": type(spec.launch)}
    return {key: value for key, value in msgspec.structs.asdict(spec).items() if key != "launch"} | launch


def _facts(server: Server) -> dict[str, object]:
    facts: ServerFacts = server.facts
    port = facts.base_url.rsplit(":", 1)[-1]
    facts_by_key: dict[str, object] = {key: getattr(facts, key) for key in sorted(_EVERYTHING)}
    image = facts.image_id or facts.image
    args = tuple("{port}" if arg == port else arg for arg in facts.args)
    container = dict(facts.container)
    if container.get("ipc") == "host":  # Docker records a shm_size here that has no effect
        container.pop("shm_size_bytes", None)
    return facts_by_key | {
        "image": image,
        "args": args,
        "container": container,
        "request": server.spec.request,
    }


def _same_settings(a: Mapping[str, str], b: Mapping[str, str]) -> bool:
    return a.keys() == b.keys() and all(a[key] == b[key] or _close(a[key], b[key]) for key in a)


def _close(a: str, b: str) -> bool:
    try:
        return math.isclose(float(a), float(b), rel_tol=0.01)
    except ValueError:
        return False


def _describe(a: object, b: object, names: tuple[str, str]) -> str:
    name_a, name_b = names
    if isinstance(a, dict) and isinstance(b, dict):
        keys = [key for key in sorted(a.keys() | b.keys()) if a.get(key) != b.get(key)]
        return "; ".join(f"{key}: {name_a} {a.get(key)}, {name_b} {b.get(key)}" for key in keys)
    if isinstance(a, tuple) and isinstance(b, tuple):
        only_a, only_b = [x for x in a if x not in b], [x for x in b if x not in a]
        return f"{name_a} {only_a or list(a)}, {name_b} {only_b or list(b)}"
    return f"{name_a} {a}, {name_b} {b}"
