"""YAML -> frozen structs, with file, line, key and the valid names in every error."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml
from msgspec import inspect

from tokgate._exceptions import SpecError
from tokgate.config.bounds import YAML_BYTES
from tokgate.config.explain import KeyPath, explain_syntax, explain_type, explain_unreadable, get_value
from tokgate.config.reading import read_file
from tokgate.config.units import Duration, Size
from tokgate.config.yaml_growth import check_growth

T = TypeVar("T")
Mark = tuple[Path, int]

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_RESOLVER: Any = yaml.resolver.Resolver()
_TAG = "tag:yaml.org,2002:"
_SCALARS = frozenset(_TAG + name for name in ("str", "int", "float", "bool", "null", "timestamp"))
_NOT_ALLOWED = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # YAML 1.2, 5.1
_PLACED = re.compile(
    r"(.*) - at `((?:key` in `)?\$[\w.\[\]]*)`", re.DOTALL
)  # how msgspec ends a message, which may quote anything
_PATH_PART = re.compile(r"\.(\w+)|\[(\d+|\.\.\.)\]")


class Document:
    """Plain data read from YAML, with the file and line of each key.

    data: dicts, lists and scalars; marks: key path -> (file, 1-based line).
    """

    def __init__(self, data: Any, marks: dict[KeyPath, Mark]) -> None:
        self.data, self.marks = data, marks

    @classmethod
    def read(cls, path: Path) -> Document:
        """Read one YAML file: mappings with text as keys, lists and plain scalars.

        Raises SpecError: unreadable, invalid YAML, not a mapping, a duplicate key, a tag.
        """
        text = ""
        try:
            text = read_file(path, YAML_BYTES).decode()
            if control := _NOT_ALLOWED.search(text):
                line = text.count("\n", 0, control.start()) + 1
                raise SpecError(
                    f"contains the control character U+{ord(control[0]):04X}; remove it", file=path, line=line
                )
            check_growth(text, path, _Loader)
            node = yaml.compose(text, Loader=_Loader)
            if not isinstance(node, yaml.MappingNode):
                content = "found a list" if isinstance(node, yaml.SequenceNode) else "found none"
                raise SpecError(f"expected a mapping of keys to values, but {content}", file=path, line=1)
            marks: dict[KeyPath, Mark] = {(): (path, 1)}
            return cls(_plain(node, (), path, marks), marks)
        except (OSError, UnicodeDecodeError) as error:
            raise SpecError(explain_unreadable(error), file=path) from error
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            raise SpecError(explain_syntax(error, text), file=path, line=mark.line + 1 if mark else None) from error
        except RecursionError as error:
            raise SpecError("is nested too deeply", file=path) from error

    def merged(self, over: Document) -> Document:
        """This document overridden by `over`: mappings are merged, everything else is replaced."""
        marks = {path: mark for path, mark in self.marks.items() if not _replaced(path, over.data)}
        return Document(_merge(self.data, over.data), {**marks, **over.marks})

    def error(self, message: str, at: KeyPath = ()) -> SpecError:
        """A SpecError with the file and line of key path `at`, or of its nearest parent that has them."""
        place = at
        while place not in self.marks:
            place = place[:-1]
        file, line = self.marks[place]
        return SpecError(message, file=file, line=line, key=_dotted(at))

    def decode(self, kind: type[T]) -> T:
        """The document as a `kind`. Raises SpecError with what was expected, and where."""
        try:
            return msgspec.convert(self.data, kind, dec_hook=_decode_unit)
        except msgspec.ValidationError as failure:
            raise self._explain(str(failure), kind) from failure

    def _explain(self, text: str, kind: type) -> SpecError:
        placed = _PLACED.fullmatch(text)
        message, where = (placed[1], placed[2]) if placed else (text, "")
        at: KeyPath = ()
        for name, index in _PATH_PART.findall(where):
            at += (name or (int(index) if index.isdigit() else self._wrong_key(at, kind, text)),)
        is_key = where.startswith("key`")
        if is_key:
            at += (self._wrong_key(at, kind, text),)
        return self.error(*explain_type(message, inspect.type_info(kind), self.data, at, is_key=is_key))

    def _wrong_key(self, at: KeyPath, kind: type, text: str) -> str:
        """The key of the mapping at `at` whose name or value is wrong; msgspec does not name it. text: of its error."""
        for key in get_value(self.data, at):
            try:
                msgspec.convert(_with_only(key, self.data, at), kind, dec_hook=_decode_unit)
            except msgspec.ValidationError as failure:
                if str(failure) == text:  # and not one that comes later in the file
                    return str(key)
        raise AssertionError("no key of the mapping is wrong")


def _plain(node: yaml.Node, at: KeyPath, file: Path, marks: dict[KeyPath, Mark]) -> Any:
    """`node` as plain data; adds its keys to `marks`."""

    def wrong(message: str, where: yaml.Node = node, key: KeyPath = at) -> SpecError:
        return SpecError(message, file=file, line=where.start_mark.line + 1, key=_dotted(key))

    if isinstance(node, yaml.ScalarNode):
        try:
            return _scalar(node)
        except (ValueError, OverflowError) as error:  # 2026-13-01 looks like a date
            raise wrong(f"invalid value {node.value!r}: {error}") from error
    if node.tag not in (f"{_TAG}map", f"{_TAG}seq"):
        raise wrong(f"unknown tag `{_name_tag(node)}`; remove it")
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            marks[(*at, index)] = (file, item.start_mark.line + 1)
        return [_plain(item, (*at, index), file, marks) for index, item in enumerate(node.value)]
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise wrong("a key must be text, not a list or a mapping", key_node)
        key = key_node.value
        if key_node.tag == f"{_TAG}merge":
            raise wrong("merge keys (`<<`) are not supported; write the keys out", key_node)
        if key in result:
            raise wrong(f"duplicate key `{key}`", key_node, (*at, key))
        marks[(*at, key)] = (file, key_node.start_mark.line + 1)
        result[key] = _plain(value_node, (*at, key), file, marks)
    return result


def _scalar(node: yaml.ScalarNode) -> Any:
    """Raises ValueError, OverflowError."""
    meant = _RESOLVER.resolve(yaml.ScalarNode, node.value, (not node.style, bool(node.style)))
    if node.tag not in _SCALARS or node.tag not in (meant, f"{_TAG}str"):
        raise ValueError(f"unknown tag `{_name_tag(node)}`; remove it, or put the value in quotes")
    return yaml.constructor.SafeConstructor().construct_object(node)


def _name_tag(node: yaml.Node) -> str:
    """The tag as YAML writes it."""
    return str(node.tag).replace(_TAG, "!!")


def _merge(below: Any, above: Any) -> Any:
    if isinstance(below, Mapping) and isinstance(above, Mapping):
        return {**below, **{key: _merge(below.get(key), value) for key, value in above.items()}}
    return above


def _replaced(path: KeyPath, above: Any) -> bool:
    """Whether `above` has something other than a mapping at `path` or at one of its parents."""
    for key in path:
        if not isinstance(above, Mapping) or key not in above:
            return not isinstance(above, Mapping)
        above = above[key]
    return False


def _dotted(path: KeyPath) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def _decode_unit(kind: type, value: object) -> object:
    if kind in (Size, Duration):
        return kind.parse(value)
    if kind is object:  # free-form: an arm's override, a request's extra fields
        return value
    raise NotImplementedError(f"no decoder for {kind}")


def _with_only(key: object, data: Any, at: KeyPath) -> Any:
    """A copy of `data` whose mapping at `at` has no other key."""
    if not at:
        return {key: data[key]}
    copy = data.copy()
    copy[at[0]] = _with_only(key, data[at[0]], at[1:])
    return copy
