#!/usr/bin/env python3
"""Write the reference pages of `docs/reference/` from the code: options and commands, and the YAML keys; and the table
of metrics into `docs/metrics.md`.

Usage: .venv/bin/python docs/generate.py

The texts are the help texts of options and commands and the docstrings of the structs that the YAML is read into: a
docstring has one line `key: meaning` for each key. Change them there, then run this again.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import typer
from msgspec import NODEFAULT, inspect

from tokgate.cli import app
from tokgate.config.hardware import Hardware
from tokgate.config.hypothesis import Hypothesis
from tokgate.config.metric import METRIC_NAMES, METRICS
from tokgate.config.profile import Profile
from tokgate.config.server import ServerSpec
from tokgate.config.units import Duration, Size
from tokgate.config.workload import Prompt, Workload
from tokgate.engines import ENGINES
from tokgate.machine.fingerprint import Fingerprint
from tokgate.plugin import hooks
from tokgate.plugin.options import add_options
from tokgate.store.baselines import Baseline

FOLDER = Path(__file__).parent / "reference"
COMMAND = "python docs/generate.py"
METRICS_PAGE = Path(__file__).with_name("metrics.md")
_TABLE_BEGINS = f"<!-- table written by `{COMMAND}` -->"
_TABLE_ENDS = "<!-- end of table -->"
HEADER = f"<!-- Written by `{COMMAND}` from the code. Do not edit. -->"

FILES = (
    ("fixtures/servers/NAME.yaml", ServerSpec),
    ("fixtures/workloads/NAME.yaml", Workload),
    ("fixtures/prompts/NAME.jsonl", Prompt),
    ("fixtures/profiles/NAME.yaml", Profile),
    ("fixtures/hypotheses/NAME.yaml", Hypothesis),
    ("fixtures/hardware/NAME.yaml", Hardware),
    ("baselines/HARDWARE/NAME.yaml", Baseline),
)
_ENGINE_NAMES = ", ".join(
    f"`{engine.name}`" for engine in ENGINES
)  # the field is text, so that engines add themselves
_FIELD = re.compile(r"((?:\w+, )*\w+): (.+)")


def write() -> None:
    """Write every page."""
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    METRICS_PAGE.write_text(metrics_page(METRICS_PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def pages() -> dict[str, str]:
    """The text of each page by file name; the same for the same code."""
    return {"options.md": "\n".join(_options_page()) + "\n", "yaml.md": "\n".join(_yaml_page()) + "\n"}


def metrics_page(text: str) -> str:
    """`docs/metrics.md` with the table of metrics between its marks as the code has it."""
    before, _, rest = text.partition(_TABLE_BEGINS)
    _, _, after = rest.partition(_TABLE_ENDS)
    header = ("metric", "unit", "definition", "gated", "statistic", "tolerance, promise")
    gates = {"several streams": "with several streams", "limits": "with `limits`"}
    rows = (
        (
            f"`{metric.name}`",
            metric.unit,
            metric.definition,
            gates.get(metric.gate, metric.gate),
            metric.statistic,
            f"{metric.tolerance:.0%}, {metric.promise:.0%}",
        )
        for metric in METRICS
    )
    table = "\n".join(_table(header, rows))
    return f"{before}{_TABLE_BEGINS}\n{table}\n{_TABLE_ENDS}{after}"


def missing_meanings() -> list[str]:
    """YAML keys without a line in their struct's docstring, as `Struct.key`."""
    return [
        f"{kind.cls.__name__}.{field.encode_name}"
        for _, struct in FILES
        for kind in _structs(inspect.type_info(struct))
        for field in _keys(kind)
        if field.name not in field_meanings(kind.cls)
    ]


# Options and commands


class _Recorder:
    """Stands in for pytest's parser and its group, and keeps what is added."""

    def __init__(self) -> None:
        self.options: list[tuple[str, dict[str, Any]]] = []

    def getgroup(self, *_: object, **__: object) -> _Recorder:
        return self

    def addoption(self, name: str, **settings: Any) -> None:
        self.options.append((name, settings))


def _options_page() -> Iterator[str]:
    recorder: Any = _Recorder()
    add_options(recorder)
    yield from (HEADER, "", "# Options and commands", "")
    yield "Options of the suite are also in `pytest --help`, in the group `tokgate`; a command's in its `--help`."
    yield from ("", "## pytest -m perf", "")
    yield from _table(
        ("option", "meaning"),
        (
            (f"`{name}{_value_name(name, settings)}`", _sentence(settings["help"]))
            for name, settings in recorder.options
        ),
    )
    yield from (
        "",
        "## Marker and fixtures",
        "",
        "For tests of your own. Everything else of the package is private.",
        "",
    )
    yield from _table(("name", "meaning"), _marker_and_fixtures())
    root = typer.main.get_command(app)
    for path, command in _commands(root, "tokgate"):
        yield from ("", f"## {path}", "", *_help(command.help or ""))
        rows = [_parameter(parameter) for parameter in command.params if parameter.name != "help"]
        if rows:
            yield from ("", *_table(("argument or option", "default", "meaning"), rows))


def _marker_and_fixtures() -> Iterator[tuple[str, str]]:
    """The plugin's marker and its fixtures, from their source: pytest wraps a fixture's function."""
    source = Path(hooks.__file__).read_text(encoding="utf-8")
    for name, text in re.findall(r'"markers", "(\w+): (.+)"', source):
        yield f"`@pytest.mark.{name}`", text
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and "fixture" in "".join(map(ast.unparse, node.decorator_list)):
            yield f"fixture `{node.name}`", (ast.get_docstring(node) or "").split("\n\n")[0]


def _value_name(name: str, settings: dict[str, Any]) -> str:
    if settings.get("action") == "store_true":
        return ""
    return f"={settings.get('metavar') or name.rsplit('-', 1)[-1].upper()}"


def _commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every command that does something by itself, in the order of the help."""
    children = getattr(command, "commands", {})
    if not children or getattr(command, "invoke_without_command", False):
        yield path, command
    for name, child in children.items():
        yield from _commands(child, f"{path} {name}")


def _parameter(parameter: Any) -> tuple[str, str, str]:
    metavar = parameter.metavar or _kind_name(parameter)
    if not parameter.opts[0].startswith("-"):
        return f"`{metavar}`", "required" if parameter.required else "–", _sentence(parameter.help or "")
    name = parameter.opts[0] if parameter.is_flag else f"{parameter.opts[0]} {metavar}"
    default = parameter.default
    text = (
        "–"
        if default is None or default is False or default == ()
        else f"`{getattr(default, 'value', default)}`"
    )
    return f"`{name}`", "required" if parameter.required else text, _sentence(parameter.help or "")


def _kind_name(parameter: Any) -> str:
    kind = parameter.type_descriptor.annotation
    if choices := getattr(kind, "__members__", None):
        return "|".join(member.value for member in choices.values())
    names = {"int": "N", "float": "NUMBER", "Path": "PATH"}
    argument = not parameter.opts[0].startswith("-")
    return parameter.name.upper() if argument else names.get(getattr(kind, "__name__", ""), "TEXT")


def _help(text: str) -> Iterator[str]:
    """A command's help: paragraphs as lines of the page, indented ones as code."""
    for number, block in enumerate(text.strip().split("\n\n")):
        if number:
            yield ""
        if block.startswith("    "):
            yield from ("```sh", *(line.removeprefix("    ") for line in block.splitlines()), "```")
        else:
            yield from block.splitlines()


# YAML


def _yaml_page() -> Iterator[str]:
    yield from (HEADER, "", "# YAML keys", "")
    yield "The name of an entry is the name of its file, without the suffix. `extends: OTHER` in a file of fixtures/ takes"
    yield "the file OTHER of the same folder and lays this one over it: mappings are merged, everything else is replaced."
    yield "A size is a number with its unit (`64MiB`, `16GB`), a time is one or more (`500ms`, `1m30s`). A metric is one of"
    yield "the names in [metrics.md](../metrics.md). How the files work together: [configure.md](../configure.md)."
    for place, struct in FILES:
        yield from ("", f"## {place}")
        for kind in _structs(inspect.type_info(struct)):
            title = (
                kind.cls.__name__
                if kind.tag is None
                else f"{kind.cls.__name__} (`{kind.tag_field}: {kind.tag}`)"
            )
            yield from ("", f"### {title}", "", _summary(kind.cls), "")
            meanings = field_meanings(kind.cls)
            rows = (
                []
                if kind.tag is None
                else [(f"`{kind.tag_field}`", f"`{kind.tag}`", "required", "chooses this form")]
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
            yield from _table(("key", "type", "default", "meaning"), rows)


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
            return " or ".join(
                _type(inner) for inner in kind.types if not isinstance(inner, inspect.NoneType)
            )
        case inspect.LiteralType():
            return (
                "metric"
                if set(kind.values) == set(METRIC_NAMES)
                else ", ".join(f"`{value}`" for value in kind.values)
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
    return {"StrType": "text", "BoolType": "`true`, `false`", "DateType": "date"}.get(
        type(kind).__name__, "any value"
    )


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
        return f"`{kind.tag_field}: {kind.tag}`"
    return f"`{field.default}`"


# Markdown


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    cells = list(header)
    yield f"| {' | '.join(cells)} |"
    yield f"|{'---|' * len(cells)}"
    for row in rows:
        yield f"| {' | '.join(_cell(cell) for cell in row)} |"


def _cell(text: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", " ".join(text.split()))


def _sentence(text: str) -> str:
    """Help text as Markdown; rich's markup of typer and argparse's percent signs are undone."""
    return text.replace("%%", "%").replace("\\[", "[")


if __name__ == "__main__":
    write()
