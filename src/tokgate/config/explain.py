"""What is wrong with a YAML file, in the words of its author instead of those of the libraries that read it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

import yaml
from msgspec import inspect

KeyPath = tuple[str | int, ...]

_TYPES = re.compile(r"`([a-z]+(?: \| [a-z]+)*)`")
_TYPE_NAMES = {
    "object": "a mapping",
    "array": "a list",
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "date": "a date",
    "null": "nothing",
}
_FIELD = re.compile(r"(unknown|required) field `([^`]+)`")


def nearest(name: object, valid: Iterable[str]) -> str:
    """The end of a message about an unknown name: the name that was probably meant, or all valid names."""
    known = sorted(valid)
    close = get_close_matches(str(name), known, n=1)
    if close:
        return f"did you mean `{close[0]}`?"
    return f"valid: {', '.join(known)}" if known else "none are declared yet"


def explain_unreadable(error: OSError | UnicodeDecodeError) -> str:
    """Why a file cannot be read as text."""
    if isinstance(error, UnicodeDecodeError):
        return f"is not UTF-8 text (byte 0x{error.object[error.start]:02x} at offset {error.start})"
    return f"cannot be read: {error.strerror or error}"


def explain_syntax(error: yaml.YAMLError, text: str) -> str:
    """Why `text` is not YAML."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return f"invalid YAML: {error}"
    mark, lines = error.problem_mark, text.splitlines()
    rest = lines[mark.line][mark.column :] if mark is not None and mark.line < len(lines) else ""
    match error.problem:
        case "found a tab character that violates indentation":
            return "tabs cannot be used for indentation; use spaces"
        case "found character that cannot start any token" if rest:
            if rest[0] == "\t":
                return "tabs cannot be used for indentation; use spaces"
            return f"a value cannot start with `{rest[0]}`; put it in quotes"
        case "mapping values are not allowed in this context":
            return "unexpected `:`; check the indentation, and put a value that contains `: ` in quotes"
    return f"invalid YAML: {error.problem}"


def explain_type(message: str, info: inspect.Type, data: Any, at: KeyPath, *, is_key: bool) -> tuple[str, KeyPath]:
    """A ValidationError of msgspec as a message, and the key path that it is about.

    message: its text without the place.
    info: the declared type of the file.
    data: the content of the file.
    at: the place.
    is_key: the last part of `at` is wrong as a key.
    """
    value: Any
    if is_key:
        parent = _type_at(info, data, at[:-1])
        info, value = (parent.key_type if isinstance(parent, inspect.DictType) else parent), at[-1]
    else:
        info, value = _type_at(info, data, at), get_value(data, at)
    if field := _FIELD.search(message):
        if field[1] == "unknown":
            return f"unknown key; {nearest(field[2], _field_names(info))}", (*at, field[2])
        missing = [name for name in _field_names(info, required=True) if name not in value] or [field[2]]
        keys, several = ", ".join(f"`{name}`" for name in missing), len(missing) > 1
        return f"the {'keys' if several else 'key'} {keys} {'are' if several else 'is'} missing", at
    if message.startswith("Invalid"):
        choices = _choices(info)
        if not choices:  # a date
            return f"expected a date such as 2026-01-31, got {value!r}", at
        advice = nearest(value, choices)
        listed = f" Valid: {', '.join(choices)}" if advice.endswith("?") else ""
        return f"unknown value {value!r}; {advice}{listed}", at
    if not message.startswith("Expected `"):
        return message[0].lower() + message[1:], at  # of a size or a time, which names the accepted form
    if message.endswith("of length >= 1"):
        return "must not be empty", at
    return _explain_value(message, info, value), at


def _explain_value(message: str, info: inspect.Type, value: object) -> str:
    """`Expected `int`, got `str`` with the value and, where there is one, an example."""
    expected = _TYPES.sub(_name_types, message.partition(", got ")[0]).lower()
    got = {dict: "a mapping", list: "a list", type(None): "nothing"}.get(type(value)) or repr(value)
    advice = ""
    if isinstance(value, str):
        if expected.endswith("number") and value.strip().isdecimal():
            advice = f"; remove the quotes: {value.strip()}"
        elif expected.endswith("list"):
            choices = _choices(info.item_type) if isinstance(info, inspect.VarTupleType) else []
            words = [f'"{_nearest_choice(word, choices)}"' for word in value.split()]
            advice = f", for example `[{', '.join(words)}]`"
        elif expected.endswith("mapping") and (keys := _field_names(info, required=True)):
            advice = f", for example `{{{keys[0]}: {value}}}`"
    elif expected.endswith("text") and isinstance(value, bool):
        got = str(value).lower()
        advice = "; YAML reads yes, no, on and off as true or false: put them in quotes"
    elif expected.endswith("text") and isinstance(value, int | float):
        advice = f'; put it in quotes: "{value}"'
    return f"{expected}, got {got}{advice}"


def _nearest_choice(word: str, choices: list[str]) -> str:
    """The valid value that `word` probably means, so that an example is valid; `word` where any text is."""
    return next(iter(get_close_matches(word, choices, n=1) or choices), word)


def _name_types(types: re.Match[str]) -> str:
    names = [name for name in types[1].split(" | ") if name != "null"]
    return " or ".join(_TYPE_NAMES.get(name, name) for name in names)


def get_value(data: Any, at: KeyPath) -> Any:
    """The value at `at` of plain data."""
    for part in at:
        data = data[part]
    return data


def _type_at(info: inspect.Type, data: Any, at: KeyPath) -> inspect.Type:
    """The declared type at `at`, following unions by their tag."""
    info = _pick(info, data)
    for part in at:
        if isinstance(info, inspect.StructType):
            fields = {field.encode_name: field.type for field in info.fields}
            if part not in fields:
                return info
            info, data = fields[str(part)], data.get(part)
        elif isinstance(info, inspect.VarTupleType):
            info, data = info.item_type, data[part]
        elif isinstance(info, inspect.DictType):
            info, data = info.value_type, data.get(part)
        else:
            return info
        info = _pick(info, data)
    return info


def _pick(info: inspect.Type, data: Any) -> inspect.Type:
    if isinstance(info, inspect.Metadata):
        return _pick(info.type, data)
    if not isinstance(info, inspect.UnionType):
        return info
    rest = [kind for kind in info.types if not isinstance(kind, inspect.NoneType)]
    for kind in rest if isinstance(data, Mapping) else ():
        if isinstance(kind, inspect.StructType) and kind.tag in (None, data.get(kind.tag_field)):
            return kind
    return rest[0] if len(rest) == 1 else info


def _field_names(info: inspect.Type, *, required: bool = False) -> list[str]:
    fields = info.fields if isinstance(info, inspect.StructType) else ()
    return [field.encode_name for field in fields if field.required or not required]


def _choices(info: inspect.Type) -> list[str]:
    """The valid values of a literal, or tags of a union."""
    if isinstance(info, inspect.LiteralType):
        return [str(value) for value in info.values]
    if isinstance(info, inspect.UnionType):
        return [str(kind.tag) for kind in info.types if isinstance(kind, inspect.StructType)]
    return []
