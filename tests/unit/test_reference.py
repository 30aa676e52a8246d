"""The reference pages in docs/reference/ say what the code says."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def generator() -> Iterator[ModuleType]:
    """`docs/generate.py` as a module, with its neighbors importable as when it runs as a script."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "docs"))
        yield importlib.import_module("generate")


@pytest.fixture(scope="module")
def yaml_keys(generator: ModuleType) -> ModuleType:
    return importlib.import_module("yaml_keys")


def test_pages_are_current(generator: ModuleType) -> None:
    """The committed pages are what the generator writes from the code."""
    for name, text in generator.pages().items():
        assert (generator.FOLDER / name).read_text(encoding="utf-8") == text, f"run {generator.COMMAND}"


def test_every_yaml_key_has_a_meaning(yaml_keys: ModuleType) -> None:
    """The docstring of a struct that is read from YAML has one line `key: meaning` for each key."""
    assert yaml_keys.missing_meanings() == []


def test_a_meaning_may_take_two_lines(yaml_keys: ModuleType) -> None:
    class Struct:
        """Two keys.

        first: what it means,
            continued.
        second, third: one meaning for both.
        """

        __struct_fields__ = ("first", "second", "third")

    assert yaml_keys.field_meanings(Struct) == {
        "first": "what it means, continued.",
        "second": "one meaning for both.",
        "third": "one meaning for both.",
    }


def test_metrics_page_has_the_table(generator: ModuleType) -> None:
    """`docs/metrics.md` holds the table of metrics as `config/metric.py` has it."""
    text = generator.METRICS_PAGE.read_text(encoding="utf-8")
    assert generator.metrics_page(text) == text, f"run {generator.COMMAND}"
    assert "| `itl_p99_s` | s |" in text


def test_every_validity_rule_is_documented() -> None:
    """The rules that make a measurement invalid are those of the table in `docs/metrics.md`."""
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    # A rule is named where a Problem is made, or as a key of the table of the host's rules.
    in_code = re.findall(r'(?:\brule=|_problem\(\s*)"(\w+)"|"(\w+)": _\w+\(report\b', source)
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    table = text.partition("| rule |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` ", table, re.MULTILINE)) == {name for pair in in_code for name in pair} - {""}
