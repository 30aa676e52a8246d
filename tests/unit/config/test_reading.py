"""Files and JSON are read within bounds, and YAML does not grow."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate._exceptions import SpecError
from tokgate.config.bounds import NESTING, YAML_NODES
from tokgate.config.load import Document
from tokgate.config.prompts import read_prompts
from tokgate.config.reading import decode_any_json, decode_json, read_file

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.parametrize(("size", "most"), [(0, 0), (5, 5), (5, 6)])
def test_file_within_its_limit(tmp_path: Path, size: int, most: int) -> None:
    (tmp_path / "file").write_bytes(b"x" * size)
    assert read_file(tmp_path / "file", most) == b"x" * size


@pytest.mark.parametrize("path", ["file", "/dev/zero"])
def test_file_above_its_limit(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").write_bytes(b"x" * 5001)
    with pytest.raises(OSError, match=r"it is larger than 5 kB, the limit for such a file"):
        read_file(tmp_path / path, 5000)


@given(JSON)
def test_json_round_trip(value: object) -> None:
    assert decode_any_json(json.dumps(value)) == value


@pytest.mark.parametrize("depth", [NESTING + 1, 900, 2000, 200_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
def test_nested_json(depth: int, opening: str, closing: str) -> None:
    raw = f"{opening * depth}1{closing * depth}"
    with pytest.raises(msgspec.DecodeError, match="nested"):
        decode_any_json(raw)
    with pytest.raises(msgspec.DecodeError):
        decode_json(raw, dict[str, int])


def test_deepest_json() -> None:
    raw = "[" * NESTING + "]" * NESTING
    assert json.dumps(decode_any_json(raw)) == raw


def bomb(levels: int, width: int) -> str:
    """YAML whose aliases multiply."""
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (bomb(30, 9), "6: has more than 50000 keys and values when its aliases are replaced"),
        (bomb(3000, 1), "64: nested more than 64 levels deep"),
        ("a: &a [*a]\n", "1: alias `[*]a` contains itself"),
        ("a: &a\n  b:\n    c: *a\n", "3: alias `[*]a` contains itself"),
        ("a: " + "[" * 65 + "]" * 65, "1: nested more than 64 levels deep"),
        ("a: " + "[" * 1_000_000, "1: (nested more than 64 levels|.*maximum nesting depth)"),
        ("a: " + "{b: " * 1_000_000, "larger than 4 MB"),
        ("".join(f"{'  ' * n}a:\n" for n in range(1000)), "65: nested more than 64 levels deep"),
        ("- " * 1000 + "x", "1: nested more than 64 levels deep"),
        ("x: 1\n" * 1_000_000, "larger than 4 MB, the limit for such a file"),
        ("x: [" + "1, " * 300_000 + "]", "has more than 50000 keys and values"),
        ("a: *b\n", "undefined alias"),
    ],
    ids=lambda value: value[:12].strip() or "x",
)
def test_yaml_that_grows(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(text)
    with pytest.raises(SpecError, match=message) as caught:
        Document.read(path)
    assert len(str(caught.value)) < 500


def test_aliases_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_text("a: &a {x: &x [1, 2]}\nb: *a\nc: [*x, *x]\n")
    assert Document.read(path).data == {"a": {"x": [1, 2]}, "b": {"x": [1, 2]}, "c": [[1, 2], [1, 2]]}


def test_count_of_replaced_aliases(tmp_path: Path) -> None:
    """The limit counts what the aliases stand for."""
    path = tmp_path / "file.yaml"
    times = YAML_NODES // 1000 - 1
    anchor = "a: &a [" + "1, " * 990 + "]\n"
    path.write_text(anchor + f"b: [{', '.join(['*a'] * times)}]\n")
    assert len(Document.read(path).data["b"]) == times
    path.write_text(anchor + f"b: [{', '.join(['*a'] * (times + 10))}]\n")
    with pytest.raises(SpecError, match="has more than 50000"):
        Document.read(path)


def test_nested_prompt_has_its_line(tmp_path: Path) -> None:
    path = tmp_path / "set.jsonl"
    good = json.dumps({"id": "a", "messages": [{"role": "user", "content": "x"}]})
    path.write_text(f"{good}\n{'[' * 2000}\n")
    with pytest.raises(SpecError, match=r"set\.jsonl:2: "):
        read_prompts(path, stated=False)
