"""The reference of YAML keys, from the structs that the YAML is read into and their docstrings."""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import NODEFAULT, inspect
from tables import format_table

from tokgate.config.hardware import Hardware
from tokgate.config.hypothesis import Hypothesis
from tokgate.config.metric import METRIC_NAMES
from tokgate.config.profile import Profile
from tokgate.config.server import ServerSpec
from tokgate.config.units import Duration, Size
from tokgate.config.workload import Prompt, Workload
from tokgate.engines import ENGINES
from tokgate.machine.fingerprint import Fingerprint
from tokgate.store.baselines import Baseline

FILES = (
    ("fixtures/servers/NAME.yaml", ServerSpec),
    ("fixtures/workloads/NAME.yaml", Workload),
    ("fixtures/prompts/NAME.jsonl", Prompt),
    ("fixtures/profiles/NAME.yaml", Profile),
    ("fixtures/hypotheses/NAME.yaml", Hypothesis),
    ("fixtures/hardware/NAME.yaml", Hardware),
    ("baselines/HARDWARE/NAME.yaml", Baseline),
)
# The field is text, so that engines add themselves.
_ENGINE_NAMES = ", ".join(f"`{engine.name}`" for engine in ENGINES)
_FIELD = re.compile(r"((?:\w+, )*\w+): (.+)")


def missing_meanings() -> list[str]:
    """YAML keys without a line in their struct's docstring, as `Struct.key`."""
    return [
        f"{kind.cls.__name__}.{field.encode_name}"
        for _, struct in FILES
        for kind in _structs(inspect.type_info(struct))
        for field in _keys(kind)
        if field.name not in field_meanings(kind.cls)
    ]


def describe_keys() -> Iterator[str]:
    """The page of all YAML keys, line by line."""
    yield from ("# YAML keys", "")
    yield "The name of an entry is the name of its file, without the suffix. `extends: OTHER` in a file of fixtures/ takes"
    yield "the file OTHER of the same folder and lays this one over it: mappings are merged, everything else is replaced."
    yield "A size is a number with its unit (`64MiB`, `16GB`), a time is one or more (`500ms`, `1m30s`). A metric is one of"
    yield "the names in [metrics.md](../metrics.md). How the files work together: [configure.md](../configure.md)."
    described: set[type] = set()
    for place, struct in FILES:
        yield from ("", f"## {place}")
        for kind in _structs(inspect.type_info(struct)):
            if kind.cls in described:  # the links lead to where it was first met
                continue
            described.add(kind.cls)
            title = kind.cls.__name__ if kind.tag is None else f"{kind.cls.__name__} (`{kind.tag_field}: {kind.tag}`)"
            yield from ("", f"### {title}", "", _summary(kind.cls), "")
            meanings = field_meanings(kind.cls)
            rows = (
                [] if kind.tag is None else [(f"`{kind.tag_field}`", f"`{kind.tag}`", "required", "chooses this form")]
            )
            rows += [
                (
                    f"`{field.encode_name}`",
                    _ENGINE_NAMES if (kind.cls, field.name) == (ServerSpec, "engine") else _type(field.type),
                    _default(field),
                    meanings.get(field.name, "–"),
                )
                for field in _keys(kind)
            ]
            yield from format_table(("key", "type", "default", "meaning"), rows)


def _structs(info: inspect.Type) -> list[inspect.StructType]:
    """`info` and every struct inside it, each once, in the order a reader meets them."""
    structs: dict[type, inspect.StructType] = {}

    def visit(kind: inspect.Type) -> None:
        if isinstance(kind, inspect.StructType):
            if kind.cls in structs or kind.cls is Fingerprint:  # written by a command, and not by people
                return
            structs[kind.cls] = kind
            for field in kind.fields:
                visit(field.type)
        for inner in _inner(kind):
            visit(inner)

    visit(info)
    return list(structs.values())


def _inner(kind: inspect.Type) -> tuple[inspect.Type, ...]:
    match kind:
        case inspect.Metadata():
            return (kind.type,)
        case inspect.UnionType():
            return kind.types
        case inspect.VarTupleType() | inspect.ListType():
            return (kind.item_type,)
        case inspect.DictType():
            return (kind.key_type, kind.value_type)
        case _:
            return ()


def _keys(kind: inspect.StructType) -> list[inspect.Field]:
    """The keys a file may hold; `name` of an entry is the name of its file."""
    by_file = {struct for place, struct in FILES if place.startswith("fixtures") and struct is not Prompt}
    return [field for field in kind.fields if not (field.name == "name" and kind.cls in by_file)]


def field_meanings(struct: type) -> dict[str, str]:
    """What a struct's docstring says of each key: lines `key: meaning`, longer ones indented on the next line."""
    names = set(getattr(struct, "__struct_fields__", ()))
    meanings: dict[str, str] = {}
    current: list[str] = []
    for line in (struct.__doc__ or "").splitlines()[1:]:
        text = line.strip()
        match = _FIELD.fullmatch(text)
        if match and set(match[1].split(", ")) <= names:
            current = match[1].split(", ")
            meanings |= dict.fromkeys(current, match[2])
        elif text and current:
            meanings |= {name: f"{meanings[name]} {text}" for name in current}
        else:
            current = []
    return meanings


def _summary(struct: type) -> str:
    return (struct.__doc__ or "").split("\n\n")[0].replace("\n    ", "\n")


def _type(kind: inspect.Type) -> str:
    """The type as a reader of YAML calls it."""
    match kind:
        case inspect.Metadata():
            return _type(kind.type)
        case inspect.UnionType():
            return " or ".join(_type(inner) for inner in kind.types if not isinstance(inner, inspect.NoneType))
        case inspect.LiteralType():
            return (
                "metric" if set(kind.values) == set(METRIC_NAMES) else ", ".join(f"`{value}`" for value in kind.values)
            )
        case inspect.StructType():
            return f"[{kind.cls.__name__}](#{_anchor(kind)})" if kind.cls is not Fingerprint else "mapping"
        case inspect.VarTupleType() | inspect.ListType():
            return f"list of {_type(kind.item_type)}"
        case inspect.DictType():
            return f"mapping of {_type(kind.key_type)} to {_type(kind.value_type)}"
        case inspect.CustomType():
            return {Size: "size", Duration: "time"}.get(kind.cls, "any value")
        case inspect.IntType() | inspect.FloatType():
            return ("whole number" if isinstance(kind, inspect.IntType) else "number") + _bounds(kind)
        case inspect.StrType() if kind.pattern is not None:
            return f"text like `{kind.pattern}`".replace("|", "\\|")
    return {"StrType": "text", "BoolType": "`true`, `false`", "DateType": "date"}.get(type(kind).__name__, "any value")


def _bounds(kind: inspect.IntType | inspect.FloatType) -> str:
    signs = (("≥", kind.ge), (">", kind.gt), ("≤", kind.le), ("<", kind.lt))
    bounds = [f"{sign} {value:g}" for sign, value in signs if value is not None]
    return f" {' and '.join(bounds)}" if bounds else ""


def _anchor(kind: inspect.StructType) -> str:
    name = kind.cls.__name__.lower()
    return name if kind.tag is None else f"{name}-{kind.tag_field}-{kind.tag}"


def _default(field: inspect.Field) -> str:
    if field.required:
        return "required"
    if field.default is NODEFAULT or field.default is None or field.default == ():
        return "–"
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    if isinstance(kind := inspect.type_info(type(field.default)), inspect.StructType):
        return "–" if kind.tag is None else f"`{kind.tag_field}: {kind.tag}`"
    return f"`{field.default}`"
