"""The counts and timings that a server reports, checked as they are read. Pure.

They are read from their JSON text: what is not a number of tokens or of milliseconds never becomes one.
"""

from __future__ import annotations

import re

import msgspec

from tokgate._secrets import redact
from tokgate.config.reading import decode_json
from tokgate.drive.sample import ServerTimings

MOST_TOKENS = 100_000_000
"""No request has more tokens: the longest known context windows hold ten million."""

MOST_MS = 1e9
"""No request takes more milliseconds: these are eleven days."""

NULL = b"null"

_COUNT = re.compile(rb"\d{1,9}(?:\.0{1,9})?")  # some languages write whole numbers as 12.0
_MS = re.compile(rb"\d{1,30}(?:\.\d{1,30})?(?:[eE][-+]?\d{1,3})?")
_TIMINGS = ("cache_n", "prompt_n", "prompt_ms", "predicted_n", "predicted_ms")
_SHOWN = 60  # characters of a value, in a message


class NotACount(ValueError):
    """A server reported something that is not a number of tokens or milliseconds; the text says which, and what."""


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of tokens; None where the server reports none."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None


def read_usage(raw: bytes) -> Usage | None:
    """The `usage` of a chunk, from its JSON; None if it is null. Raises NotACount."""
    if raw == NULL:
        return None
    usage = _read_object("usage", raw)
    details = usage.get("prompt_tokens_details", NULL)
    cached = {} if details == NULL else _read_object("usage.prompt_tokens_details", details)
    return Usage(
        prompt_tokens=_read_count("usage.prompt_tokens", usage.get("prompt_tokens", NULL)),
        completion_tokens=_read_count("usage.completion_tokens", usage.get("completion_tokens", NULL)),
        cached_tokens=_read_count("usage.prompt_tokens_details.cached_tokens", cached.get("cached_tokens", NULL)),
    )


def read_timings(raw: bytes) -> ServerTimings | None:
    """llama.cpp's `timings` of a chunk, from their JSON; None if they are not llama.cpp's. Raises NotACount."""
    if not raw.startswith(b"{"):
        return None
    timings = _read_object("timings", raw)
    if not set(_TIMINGS) <= timings.keys():  # of another engine, or of an older version
        return None
    return ServerTimings(
        cache_n=_read_count("timings.cache_n", timings["cache_n"]) or 0,
        prompt_n=_read_count("timings.prompt_n", timings["prompt_n"]) or 0,
        prompt_ms=_read_ms("timings.prompt_ms", timings["prompt_ms"]),
        predicted_n=_read_count("timings.predicted_n", timings["predicted_n"]) or 0,
        predicted_ms=_read_ms("timings.predicted_ms", timings["predicted_ms"]),
    )


def _read_object(name: str, raw: bytes) -> dict[str, bytes]:
    """The JSON of each field."""
    try:
        fields = decode_json(raw, dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise NotACount(f"{name} is {_excerpt(raw)}; expected an object") from None
    return {key: bytes(value) for key, value in fields.items()}


def _read_count(name: str, raw: bytes) -> int | None:
    if raw == NULL:
        return None
    count = int(raw.partition(b".")[0]) if _COUNT.fullmatch(raw) else -1
    if not 0 <= count <= MOST_TOKENS:
        raise NotACount(f"{name} is {_excerpt(raw)}; expected a whole number from 0 to {MOST_TOKENS}")
    return count


def _read_ms(name: str, raw: bytes) -> float:
    milliseconds = float(raw) if _MS.fullmatch(raw) else -1.0
    if not 0 <= milliseconds <= MOST_MS:
        raise NotACount(f"{name} is {_excerpt(raw)}; expected milliseconds from 0 to {MOST_MS:.0f}")
    return milliseconds


def _excerpt(raw: bytes) -> str:
    text = redact(raw.decode(errors="replace"))  # before it is cut: a part of a secret is not recognized
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
