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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from tables import format_table
from yaml_keys import describe_keys

from tokgate.cli import app
from tokgate.config.metric import METRICS
from tokgate.config.words import format_percent
from tokgate.plugin import hooks
from tokgate.plugin.options import add_options

FOLDER = Path(__file__).parent / "reference"
COMMAND = "python docs/generate.py"
METRICS_PAGE = Path(__file__).with_name("metrics.md")
_TABLE_BEGINS = f"<!-- table written by `{COMMAND}` -->"
_TABLE_ENDS = "<!-- end of table -->"
HEADER = f"<!-- Written by `{COMMAND}` from the code. Do not edit. -->"


def write() -> None:
    """Write every page."""
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    METRICS_PAGE.write_text(metrics_page(METRICS_PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def pages() -> dict[str, str]:
    """The text of each page by file name; the same for the same code."""
    return {
        name: "\n".join((HEADER, "", *lines, ""))
        for name, lines in (("options.md", _options_page()), ("yaml.md", describe_keys()))
    }


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
            f"{format_percent(metric.tolerance)}, {format_percent(metric.promise)}",
        )
        for metric in METRICS
    )
    table = "\n".join(format_table(header, rows))
    return f"{before}{_TABLE_BEGINS}\n{table}\n{_TABLE_ENDS}{after}"


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
    yield from ("# Options and commands", "")
    yield "Options of the suite are also in `pytest --help`, in the group `tokgate`; a command's in its `--help`."
    yield from ("", "## pytest -m perf", "")
    yield from format_table(
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
    yield from format_table(("name", "meaning"), _marker_and_fixtures())
    root = typer.main.get_command(app)
    for path, command in _commands(root, "tokgate"):
        yield from ("", f"## {path}", "", *_help(command.help or ""))
        rows = [_parameter(parameter) for parameter in command.params if parameter.name != "help"]
        if rows:
            yield from ("", *format_table(("argument or option", "default", "meaning"), rows))


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
    text = "–" if default is None or default is False or default == () else f"`{getattr(default, 'value', default)}`"
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


def _sentence(text: str) -> str:
    """Help text as Markdown; rich's markup of typer and argparse's percent signs are undone."""
    return text.replace("%%", "%").replace("\\[", "[")


if __name__ == "__main__":
    write()
