"""YAML -> frozen structs, with file, line, key and the nearest valid name in every error."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml
from msgspec import inspect

from tokgate._exceptions import SpecError
from tokgate.config.units import Duration, Size

T = TypeVar("T")
KeyPath = tuple[str | int, ...]
Mark = tuple[Path, int]

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PATH_PART = re.compile(r"\.(\w+)|\[(\d+)\]")
_NAMED_FIELD = re.compile(r"(?:unknown|required) field `([^`]+)`")


def nearest(name: object, valid: Iterable[str]) -> str:
    """The tail of an error about an unknown name: what was meant, or what there is."""
    known = sorted(valid)
    close = get_close_matches(str(name), known, n=1)
    if close:
        return f"did you mean `{close[0]}`?"
    return f"valid: {', '.join(known)}" if known else "there are none yet"


class Document:
    """Plain data read from YAML that still knows where each key stands.

    data: dicts, lists and scalars; marks: key path -> (file, 1-based line).
    """

    def __init__(self, data: Any, marks: dict[KeyPath, Mark]) -> None:
        self.data, self.marks = data, marks

    @classmethod
    def read(cls, path: Path) -> Document:
        """Read one YAML file. Raises SpecError: unreadable, no YAML, a key twice, not a mapping."""
        try:
            node = yaml.compose(path.read_text(encoding="utf-8"), Loader=_Loader)
        except (OSError, UnicodeDecodeError) as error:
            raise SpecError(f"cannot be read: {error}", file=path) from error
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else None
            raise SpecError(f"is not YAML: {error.problem}", file=path, line=line) from error
        if not isinstance(node, yaml.MappingNode):
            raise SpecError("expected a mapping of keys to values, and found none", file=path, line=1)
        marks: dict[KeyPath, Mark] = {(): (path, 1)}
        return cls(_plain(node, (), path, marks), marks)

    def merged(self, over: Document) -> Document:
        """This document with `over` laid on it: mappings merge, everything else is replaced."""
        marks = {path: mark for path, mark in self.marks.items() if not _replaced(path, over.data)}
        return Document(_merge(self.data, over.data), {**marks, **over.marks})

    def error(self, message: str, at: KeyPath = ()) -> SpecError:
        """A SpecError that points at key path `at`, or at its nearest marked parent."""
        place = at
        while place not in self.marks:
            place = place[:-1]
        file, line = self.marks[place]
        return SpecError(message, file=file, line=line, key=_dotted(at))

    def decode(self, kind: type[T]) -> T:
        """The document as a `kind`. Raises SpecError that says what was expected, and where."""
        try:
            return msgspec.convert(self.data, kind, dec_hook=_decode_unit)
        except msgspec.ValidationError as failure:
            raise self._explain(str(failure), kind) from failure

    def _explain(self, text: str, kind: type) -> SpecError:
        message, _, where = text.partition(" - at `$")
        at: KeyPath = tuple(int(i) if i else name for name, i in _PATH_PART.findall(where))
        info = _type_at(inspect.type_info(kind), self.data, at)
        field = _NAMED_FIELD.search(message)
        if field and "unknown" in message:
            return self.error(f"unknown key; {nearest(field[1], _field_names(info))}", (*at, field[1]))
        if field:
            return self.error(f"the key `{field[1]}` is missing", at)
        if message.startswith("Invalid"):
            value, choices = _value_at(self.data, at), _choices(info)
            advice = nearest(value, choices)
            listed = f" Valid: {', '.join(choices)}" if advice.endswith("?") else ""
            return self.error(f"unknown value {value!r}; {advice}{listed}", at)
        return self.error(message[0].lower() + message[1:], at)


def _plain(node: yaml.Node, at: KeyPath, file: Path, marks: dict[KeyPath, Mark]) -> Any:
    """`node` as plain data; fills `marks` on the way."""
    if isinstance(node, yaml.MappingNode):
        result: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = _scalar(key_node)
            line = key_node.start_mark.line + 1
            if key in result:
                raise SpecError(
                    f"the key `{key}` stands twice", file=file, line=line, key=_dotted((*at, key))
                )
            marks[(*at, key)] = (file, line)
            result[key] = _plain(value_node, (*at, key), file, marks)
        return result
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            marks[(*at, index)] = (file, item.start_mark.line + 1)
        return [_plain(item, (*at, index), file, marks) for index, item in enumerate(node.value)]
    return _scalar(node)


def _scalar(node: yaml.Node) -> Any:
    return yaml.constructor.SafeConstructor().construct_object(node, deep=True)


def _merge(below: Any, above: Any) -> Any:
    if isinstance(below, Mapping) and isinstance(above, Mapping):
        return {**below, **{key: _merge(below.get(key), value) for key, value in above.items()}}
    return above


def _replaced(path: KeyPath, above: Any) -> bool:
    """Whether `above` puts something that is not a mapping at `path` or at a parent of it."""
    for key in path:
        if not isinstance(above, Mapping) or key not in above:
            return not isinstance(above, Mapping)
        above = above[key]
    return False


def _dotted(path: KeyPath) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def _decode_unit(kind: type, value: object) -> object:
    if kind is Size:
        return Size.parse(value)
    if kind is Duration:
        return Duration.parse(value)
    if kind is object:  # free-form: an arm's override, a request's extra fields
        return value
    raise NotImplementedError(f"no decoder for {kind}")


def _value_at(data: Any, at: KeyPath) -> Any:
    for part in at:
        data = data.get(part) if isinstance(data, Mapping) else data[part]
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
    for kind in rest:
        if not isinstance(kind, inspect.StructType) or not isinstance(data, Mapping):
            continue
        if kind.tag is None or data.get(kind.tag_field) == kind.tag:
            return kind
    return rest[0] if len(rest) == 1 else info


def _field_names(info: inspect.Type) -> list[str]:
    return [field.encode_name for field in info.fields] if isinstance(info, inspect.StructType) else []


def _choices(info: inspect.Type) -> list[str]:
    """What a literal, or the tag of a union, may be."""
    if isinstance(info, inspect.LiteralType):
        return [str(value) for value in info.values]
    if isinstance(info, inspect.UnionType):
        return [str(kind.tag) for kind in info.types if isinstance(kind, inspect.StructType)]
    return []
