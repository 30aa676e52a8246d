"""Whatever a declared file contains, it is a value or an error with file and line, and the other files are still read."""

from __future__ import annotations

import json
import math
import shutil
import struct
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tokgate._exceptions import SpecError
from tokgate.config.catalogue import Catalogue
from tokgate.config.gguf import read_gguf
from tokgate.config.hardware import Hardware
from tokgate.config.hypothesis import Hypothesis
from tokgate.config.load import Document
from tokgate.config.model_facts import compute_config_facts, read_gguf_facts
from tokgate.config.profile import Profile
from tokgate.config.prompts import read_prompts
from tokgate.config.server import ServerSpec
from tokgate.config.units import Duration, Size
from tokgate.config.workload import Workload
from tokgate.store.baselines import Baseline

FIXTURES = Path(__file__).parents[3] / "fixtures"
KINDS: dict[str, type] = {
    "servers": ServerSpec,
    "workloads": Workload,
    "hardware": Hardware,
    "profiles": Profile,
    "hypotheses": Hypothesis,
}
FILES = [(path, KINDS[path.parent.name]) for path in sorted(FIXTURES.glob("*/*.yaml")) if path.parent.name in KINDS]
BASELINES = [(path, Baseline) for path in sorted((FIXTURES.parent / "baselines").glob("*/*.yaml"))]

# Each is valid nowhere, or means something else than it seems to.
WEIRD = st.sampled_from(
    [
        "<<: *a\n", "&a [*a]", "*nobody", "&a {x: &b [1], y: *b}", "!foo x", "!!binary aGk=", "!!int x", "!!timestamp x",
        "!!set {a}", "!!python/object:os.system x", "2026-13-01", "2026-02-30", "2026-01-01 25:00:00", "0b_", "._", "=",
        "~", "? [a, b]\n: c\n", "? {a: b}\n: c\n", "[" * 80, "{" * 80, "\x07", "\x00", '"\\0"', "\x85", "\u2028", "\ufeff",
        "on: 1\n", "1: 2\n", "null: 3\n", "1e999", ".nan", "-.inf", "9" * 5000, "9" * 400 + "GiB", "9" * 400 + "h",
        "\t", "- ", ": ", "---\n", "...\n", "%YAML 9.9\n", "@", "`", "|\n", ">-\n", '"', "'", "190:20:30", "x - at `$.a`",
        "name: other\n", "extends: x\n", "\U000e0001", "\u202e",
    ]
)  # fmt: skip
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.dates(), st.just(10**400),
        st.sampled_from(["30s", "16GiB", "decode_tps", "docker", "a/b", "..", "x" * 300, "\x1b[31m", " - at `$.launch`"]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)  # fmt: skip


def catch(read: Callable[[], object]) -> SpecError | None:
    """The only error that reading a file may raise."""
    try:
        read()
    except SpecError as error:
        return error
    return None


def read(path: Path, kind: type) -> None:
    """Read a file that may be wrong; an error must name the file."""
    error = catch(lambda: Document.read(path).decode(kind))
    assert error is None or (error.file == path and str(error).isprintable())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(file=st.sampled_from(FILES + BASELINES), weird=WEIRD, at=st.floats(0, 1), count=st.integers(0, 30))
def test_damaged_yaml(tmp_path: Path, file: tuple[Path, type], weird: str, at: float, count: int) -> None:
    """A text is put at any place, instead of some characters."""
    source, kind = file
    text = source.read_text()
    place = int(at * len(text))
    path = tmp_path / "x.yaml"
    path.write_text(text[:place] + weird + text[place + count :], encoding="utf-8")
    read(path, kind)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(file=st.sampled_from(FILES + BASELINES), value=VALUES, data=st.data())
def test_wrong_values(tmp_path: Path, file: tuple[Path, type], value: Any, data: st.DataObject) -> None:
    """Any value at the place of any other, or under any key."""
    source, kind = file
    document = yaml.safe_load(source.read_text())
    container = document
    while True:
        keys = list(container) if isinstance(container, dict) else list(range(len(container)))
        key = data.draw(st.sampled_from(keys))
        inner = container[key]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.booleans()):
            break
        container = inner
    if isinstance(container, dict) and data.draw(st.booleans()):
        key = data.draw(st.one_of(st.text(max_size=5), st.integers(), st.none(), st.just(date(2026, 1, 1))))
    container[key] = value
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8", errors="replace")
    read(path, kind)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("<<: {engine: vllm}", "merge keys (`<<`) are not supported"),
        ("engine: !foo vllm", "unknown tag `!foo`"),
        ("engine: !!binary aGk=", "unknown tag `!!binary`"),
        ("launch: !!set {docker}", "unknown tag `!!set`"),
        ("engine: 2026-13-01", "invalid value '2026-13-01': month must be in 1..12"),
        ("engine: 2026-02-30", "invalid value '2026-02-30': day is out of range"),
        ("engine: \x1b[31m", "contains the control character U+001B"),
        ("? [a, b]", "a key must be text"),
        ("launch: &a [*a]", ""),
        ("start_timeout: " + "9" * 400 + "h", "expected a time with a unit"),
        ('start_timeout: " - at `$.launch`"', "expected a time with a unit"),
    ],
)
def test_error_has_file_and_line(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(f"description: x\n{line}\nmodel: {{id: m}}\n")
    with pytest.raises(SpecError) as caught:
        Document.read(path).decode(ServerSpec)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{path}:2: " if message else f"{path}:")


def test_wrong_key_is_the_one_that_is_wrong(tmp_path: Path) -> None:
    """Not the first of a mapping, when something later in the file is wrong, too."""
    path = tmp_path / "x.yaml"
    launch = "launch:\n  kind: docker\n  image: i\n  port: 80\n  env:\n    GOOD: x\n    BAD: 3\n"
    path.write_text(f"description: x\nengine: vllm\n{launch}model: 5\n")
    with pytest.raises(SpecError, match=r"x\.yaml:9: `launch.env.BAD`: expected text, got 3"):
        Document.read(path).decode(ServerSpec)


def test_one_bad_file_does_not_hide_the_others(tmp_path: Path) -> None:
    """The check reads all files and reports each that is wrong."""
    root = tmp_path / "fixtures"
    shutil.copytree(FIXTURES, root)
    good = sum(1 for _ in Catalogue(root).check())
    bad = {
        "merge": "<<: *a\n",
        "tag": "x: !foo 1\n",
        "date": "x: 2026-13-01\n",
        "control": "x: \x07\n",
        "cycle": "x: &a [*a]\n",
    }
    for kind in KINDS:
        for name, text in bad.items():
            (root / kind / f"{name}.yaml").write_text(text)
        (root / kind / "a b.yaml").write_text("description: x\n")
        (root / kind / "folder.yaml").mkdir()
    results = list(Catalogue(root).check())
    wrong = [result for *_, result in results if isinstance(result, SpecError)]
    assert len(wrong) == (len(bad) + 2) * len(KINDS)
    assert len(results) == good + len(wrong)


@pytest.mark.parametrize("name", ["a/b", "a b", "", "-rf", ".hidden", "x" * 101, "a\nb", "ä"])
def test_names_of_arms(tmp_path: Path, name: str) -> None:
    root = tmp_path / "fixtures"
    shutil.copytree(FIXTURES, root)
    arms = {name: {"server": "vllm-cpu"}, "b": {"server": "vllm-cpu"}}
    text = {"title": "t", "source": "s", "workload": "chat-c1", "rival": "r", "claim": {"fails": "b"}, "arms": arms}
    path = root / "hypotheses" / "x.yaml"
    path.write_text(yaml.safe_dump(text))
    with pytest.raises(
        SpecError, match=r"`arms`: .* is not a valid name: expected up to 100 letters, digits"
    ) as caught:
        Catalogue(root).hypothesis("x")
    assert caught.value.file == path


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(line=st.one_of(st.binary(), st.text().map(str.encode), VALUES.map(lambda value: repr(value).encode())))
def test_any_prompt_file(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"id": "a", "messages": [{"role": "user", "content": "?"}]}\n' + line)
    error = catch(lambda: read_prompts(path, stated=False))
    assert error is None or (error.file == path and error.line is not None)


@pytest.mark.parametrize(
    ("sums", "message"),
    [(b"onlyahash\n", "SHA256SUMS:1: expected a hash and the name"), (b"\xff\xfe\n", "SHA256SUMS: is not UTF-8 text")],
)
def test_damaged_list_of_hashes(tmp_path: Path, sums: bytes, message: str) -> None:
    (tmp_path / "x.jsonl").write_text('{"id": "a", "messages": [{"role": "user", "content": "?"}]}\n')
    (tmp_path / "SHA256SUMS").write_bytes(sums)
    with pytest.raises(SpecError, match=message):
        read_prompts(tmp_path / "x.jsonl")


def gguf() -> bytes:
    """A header with a key of each kind, and one tensor."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    keys = text("general.architecture") + struct.pack("<I", 8) + text("llama")
    for key, value in {"llama.block_count": 1, "llama.attention.head_count": 2, "llama.embedding_length": 4}.items():
        keys += text(key) + struct.pack("<II", 4, value)
    keys += text("general.alignment") + struct.pack("<II", 4, 32)
    keys += text("tokens") + struct.pack("<IIQ", 9, 8, 2) + text("a") + text("bc")
    tensor = text("blk.0.weight") + struct.pack("<IQQIQ", 2, 4, 4, 0, 0)
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 6) + keys + tensor
    return head + bytes(-len(head) % 32 + 64)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.integers(0, 400), st.binary(min_size=1, max_size=9)), max_size=4),
    end=st.integers(0, 400),
)
def test_any_gguf_header(tmp_path: Path, changes: list[tuple[int, bytes]], end: int) -> None:
    raw = bytearray(gguf())
    for at, new in changes:
        raw[at : at + len(new)] = new
    path = tmp_path / "x.gguf"
    path.write_bytes(raw if end > 300 else raw[:end])
    for reader in (read_gguf, read_gguf_facts):
        error = catch(partial(reader, path))
        assert error is None or error.file == path


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.dictionaries(
        st.sampled_from(["hidden_size", "num_hidden_layers", "num_attention_heads", "head_dim"]), VALUES
    )
)
def test_any_model_config(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = tmp_path / "config.json"
    config = json.loads((FIXTURES / "models" / "qwen2.5-14b.json").read_text()) | changes
    path.write_text(json.dumps(config, default=str))
    error = catch(lambda: compute_config_facts(path, "FP16"))
    assert error is None or error.file == path


@given(st.one_of(st.text(), st.from_regex(r"[0-9.]{1,400}(GiB|MB|h|s|d)", fullmatch=True)))
def test_any_size_and_time(text: str) -> None:
    for kind in (Size, Duration):
        with suppress(ValueError):
            assert 0 <= kind.parse(text) < math.inf
