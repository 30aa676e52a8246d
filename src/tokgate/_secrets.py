"""Secrets: what this process knows to be one, and texts without them.

A secret is the value of an option, variable or key with a telling name (`is_secret_name`), and the password of a URL. What
comes from elsewhere passes `redact` before it is kept or printed, or `redact_command`, `redact_variables` and `redact_data`,
which also know the name of a value. Credentials of URLs are kept here alone, by the server that they are for.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

MASK = "***"
"""What is shown instead of a secret."""

_LEAST = 6
"""Shorter values of variables are not searched for in texts: `HF_TOKEN=none` would mask words of every sentence."""

_LEAST_PASSWORD = 4
"""The same of passwords in URLs, which are secrets for certain."""

_NAME = re.compile(
    r"(?:^|_)(?:(?<!eos_)(?<!bos_)(?<!pad_)(?<!unk_)(?<!stop_)(?<!first_)token$"
    r"|secret|[a-z]*passw(?:or)?d|passphrase|credentials?|authorization|bearer"
    r"|(?:api|access|secret|private|auth|signing|account|encryption)_?key)(?:$|_)",
    re.IGNORECASE,
)
_WORD_START = re.compile(r"(?<=[a-z])(?=[A-Z])")  # of apiKey
_NOT_WORD = re.compile(r"[^A-Za-z0-9]+")

_SHAPES = re.compile(r"\b(?:sk-|hf_|gh[pousr]_|github_pat_|xox[abp]-)[A-Za-z0-9_-]{16,200}")
_HEADER = re.compile(r"(authorization\W{1,8}(?:bearer|basic)\s)[^\s'\",;<>]{1,2000}", re.IGNORECASE)
_PAIR = re.compile(
    r"((?:api[_-]?key|passw(?:or)?d|secret|hf_token|access_token|\btoken)['\"]?\s?(?:=|:\s?\[?(?=['\"]))\s?['\"]?)"
    r"[^\s'\",;&<>\[\]{}()]{6,2000}",
    re.IGNORECASE,
)
_URL = re.compile(r"(://)(?=[^\s/?#'\"<>@]{0,200}:)[^\s/?#'\"<>]{1,500}@")
_FORMS = (
    (_SHAPES, MASK, ("sk-", "hf_", "gh", "xox")),
    (_HEADER, rf"\1{MASK}", ("authorization",)),
    (_PAIR, rf"\1{MASK}", ("key", "passw", "secret", "token")),
    (_URL, rf"\1{MASK}@", ("://",)),
)
"""Secrets of others, by their usual forms: a server may show those of its own environment. Each form with what replaces it,
and words without which a text does not contain it, because looking for them takes a fraction of the time."""

_CREDENTIALS = re.compile(r"(https?://)([^/?#]*)@([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
_SERVER = re.compile(r"https?://[^/?#]*", re.IGNORECASE)
_ESCAPED = re.compile(rb"%([0-9A-Fa-f]{2})")
_UNESCAPED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")

_known: set[str] = set()
_authorizations: dict[str, str] = {}


def is_secret_name(name: str) -> bool:
    """Whether an option, a variable or a key of this name holds a secret: `HF_TOKEN`, `--api-key`, `apiKey`.

    `--max-tokens`, `--tokenizer` and `eos_token` do not.
    """
    return _NAME.search(_NOT_WORD.sub("_", _WORD_START.sub("_", name)).strip("_")) is not None


def remember(secret: str) -> None:
    """Remove this text from all that is written from now on."""
    if len(secret) >= _LEAST:
        _known.add(secret)


def take_credentials(url: str) -> str:
    """The URL without user and password, which are kept for `find_credentials`."""
    match = _CREDENTIALS.fullmatch(url)
    if match is None:
        return url
    bare = strip_credentials(url)
    user, _, password = match[2].partition(":")
    basic = b64encode(f"{_unescape(user)}:{_unescape(password)}".encode()).decode()
    _known.update(text for text in (password, _unescape(password), basic) if len(text) >= _LEAST_PASSWORD)
    _authorizations[_name_server(bare)] = f"Basic {basic}"
    return bare


def strip_credentials(url: str) -> str:
    """The URL without user and password, which nobody keeps: that of a record, for example."""
    return _CREDENTIALS.sub(r"\1\3\4", url)


def find_credentials(url: str) -> str | None:
    """The value of the header `Authorization` for the server of a URL whose credentials were taken; None without any."""
    return _authorizations.get(_name_server(url))


def _name_server(url: str) -> str:
    match = _SERVER.match(url)
    return match[0].lower() if match else url


def _unescape(text: str) -> str:
    return _ESCAPED.sub(lambda match: bytes([int(match[1], 16)]), text.encode()).decode(errors="replace")


def _escape(text: str) -> str:
    return "".join(chr(byte) if byte in _UNESCAPED else f"%{byte:02X}" for byte in text.encode())


def redact(text: str) -> str:
    """The text with MASK instead of every secret that is known, or has the form of one."""
    for form in _list_spellings(frozenset(_known)):
        text = text.replace(form, MASK)
    lower = text.lower()
    for pattern, replacement, hints in _FORMS:
        if any(hint in lower for hint in hints):
            text = pattern.sub(replacement, text)
    return text


def redact_bytes(raw: bytes) -> bytes:
    """As `redact`, for text of any encoding."""
    return redact(raw.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def redact_command(command: Sequence[str]) -> tuple[str, ...]:
    """A command line: also `--api-key VALUE`, `--api-key=VALUE` and `HF_TOKEN=VALUE`."""
    redacted = []
    for name, value in _split_command(command):
        is_option = not name and value is not None and value.startswith("-")  # `--api-key --port 80`
        redacted.append(redact(name or value or "") if value is None or is_option else f"{name}{MASK}")
    return tuple(redacted)


def _split_command(command: Iterable[str]) -> Iterator[tuple[str, str | None]]:
    """Each word as a part that is shown and the value of a telling name, which is None in most words."""
    before = ""
    for word in command:
        name, equals, value = word.partition("=")
        if equals and is_secret_name(name):
            yield f"{name}=", value
        elif before.startswith("-") and "=" not in before and is_secret_name(before):
            yield "", word
        else:
            yield word, None
        before = word


def redact_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """Environment variables: those with a telling name, and secrets in the others."""
    return {name: MASK if is_secret_name(name) else redact(value) for name, value in variables.items()}


def redact_data(value: object) -> object:
    """Decoded JSON or YAML: values of keys with a telling name, command lines, and secrets in texts."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {key: MASK if is_secret_name(str(key)) else redact_data(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        if all(isinstance(item, str) for item in value):
            return [*redact_command(value)]
        return [redact_data(item) for item in value]
    return value


def remember_command(command: Iterable[str]) -> None:
    """Remember the secrets of a command line."""
    for _, value in _split_command(command):
        if value is not None:
            remember(value)


def remember_variables(variables: Mapping[str, object]) -> None:
    """Remember the values with a telling name. The environment of this process is given here once."""
    for name, value in variables.items():
        if is_secret_name(name):
            remember(str(value))


@lru_cache(maxsize=8)
def _list_spellings(secrets: frozenset[str]) -> tuple[str, ...]:
    """The ways in which texts may write these secrets, longest first: as they are, in JSON, in a URL, in HTML."""
    forms: set[str] = set()
    for secret in secrets:
        in_json = (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])
        in_html = secret.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        forms |= {secret, *in_json, in_json[0].replace("/", "\\/"), _escape(secret), in_html}
        forms |= {in_html.replace('"', "&quot;"), repr(secret)[1:-1]}
    return tuple(sorted(forms, key=len, reverse=True))
