"""Every mistake in a YAML file is told with file, line, key, what was expected and the nearest name."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate._exceptions import SpecError
from tokgate.config.catalogue import Catalogue
from tokgate.config.hypothesis import Hypothesis
from tokgate.config.load import Document
from tokgate.config.server import DockerLaunch
from tokgate.config.units import Duration, Size

DECLARED = Path(__file__).parents[3] / "fixtures"

SERVER = """\
description: a container
engine: llama.cpp
launch:
  kind: docker
  image: some/image:1
  port: 8080
  shm_size: 64MiB
model:
  id: some-model
"""
WORKLOAD = """\
description: one user
prompts: short-chat
requests: 4
max_tokens: 16
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    shutil.copytree(DECLARED / "prompts", tmp_path / "prompts")
    for kind in ("servers", "workloads", "profiles", "hypotheses", "hardware"):
        (tmp_path / kind).mkdir()
    (tmp_path / "servers" / "box.yaml").write_text(SERVER)
    (tmp_path / "workloads" / "chat.yaml").write_text(WORKLOAD)
    return tmp_path


def test_declared_files_are_valid() -> None:
    """Everything in fixtures/ is valid."""
    results = list(Catalogue(DECLARED).check())
    assert results
    assert [result for *_, result in results if isinstance(result, SpecError)] == []


def test_a_server_is_read_with_its_units(root: Path) -> None:
    spec = Catalogue(root).server("box")
    assert isinstance(spec.launch, DockerLaunch)
    assert spec.name == "box"
    assert spec.launch.shm_size == Size(64 * 2**20)
    assert spec.start_timeout == Duration(120)


@pytest.mark.parametrize(
    ("wrong", "line", "key", "message"),
    [
        (SERVER.replace("image:", "imgae:"), 5, "launch.imgae", "unknown key; did you mean `image`"),
        (SERVER.replace("64MiB", "64"), 7, "launch.shm_size", "expected a size with a unit"),
        (SERVER.replace("64MiB", "64 gigs"), 7, "launch.shm_size", "'64 gigs'"),
        (SERVER.replace("docker", "dokcer"), 4, "launch.kind", "did you mean `docker`"),
        (SERVER.replace("64MiB", "16G"), 7, "launch.shm_size", "got '16G'; Docker's 16G is 16GiB"),
        (SERVER.replace("8080", "eighty"), 6, "launch.port", "expected a whole number, got 'eighty'"),
        (
            SERVER.replace("8080", '"80"'),
            6,
            "launch.port",
            "expected a whole number, got '80'; remove the quotes: 80",
        ),
        (SERVER + "launch: docker\n", 10, "launch", "duplicate key"),
        (SERVER.replace("8080", "0"), 6, "launch.port", ">= 1"),
        (SERVER.replace("  image: some/image:1\n", ""), 3, "launch", "the key `image` is missing"),
        (SERVER + "engine: vllm\n", 10, "engine", "duplicate key `engine`"),
        (SERVER + "name: other\n", 10, "name", "the name is that of the file"),
        (SERVER + "  bad: [\n", 11, "", "invalid YAML: "),
        (SERVER.replace("  image", "\timage"), 5, "", "tabs cannot be used for indentation; use spaces"),
        (SERVER.replace("some/", "@some/"), 5, "", "a value cannot start with `@`; put it in quotes"),
        (SERVER.replace("a container", "one: two"), 1, "", "unexpected `:`"),
        (SERVER + "x: \x07\n", 10, "", "contains the control character U+0007"),
        ("- a\n", 1, "", "expected a mapping of keys to values, but found a list"),
        ("", 1, "", "expected a mapping of keys to values, but found none"),
        (
            SERVER.replace("  image: some/image:1\n  port: 8080\n", ""),
            3,
            "launch",
            "the keys `image`, `port` are missing",
        ),
        (
            SERVER.replace("  id: some-model\n", "  args\n"),
            8,
            "model",
            "expected a mapping, got 'args', for example `{id: args}`",
        ),
        (SERVER.replace("  port", "  env: 3\n  port"), 6, "launch.env", "expected a mapping, got 3"),
        (
            SERVER.replace("  port", "  args: -ngl 99\n  port"),
            6,
            "launch.args",
            'for example `["-ngl", "99"]`',
        ),
        (
            SERVER.replace("  port", "  args: [-ngl, 99]\n  port"),
            6,
            "launch.args[1]",
            'put it in quotes: "99"',
        ),
        (SERVER.replace("  port", "  env: {A: yes}\n  port"), 6, "launch.env.A", "got true; YAML reads yes"),
    ],
)
def test_wrong_server(root: Path, wrong: str, line: int | None, key: str, message: str) -> None:
    """The error has the file, the line, the key and what was expected."""
    file = root / "servers" / "box.yaml"
    file.write_text(wrong)
    with pytest.raises(SpecError, match=re.escape(message)) as caught:
        Catalogue(root).server("box")
    assert (caught.value.file, caught.value.line, caught.value.key) == (file, line, key)
    assert str(caught.value).startswith(f"{file}: " if line is None else f"{file}:{line}: ")


def test_file_that_is_not_text_is_an_error(root: Path) -> None:
    (root / "servers" / "box.yaml").write_bytes(b"description: caf\xe9\n")
    with pytest.raises(SpecError, match=r"box\.yaml: is not UTF-8 text \(byte 0xe9 at offset 16\)$"):
        Catalogue(root).server("box")


def test_unknown_name_suggests_the_nearest(root: Path) -> None:
    with pytest.raises(SpecError, match="no such server: `boxx`; did you mean `box`"):
        Catalogue(root).server("boxx")


def test_budget_of_a_profile_is_above_zero(root: Path) -> None:
    file = root / "profiles" / "mine.yaml"
    file.write_text("description: x\nbudget: 20m\nnight: 7h\n")
    profile = Catalogue(root).profile("mine")
    assert (profile.budget, profile.night) == (Duration(1200), Duration(25200))
    file.write_text("description: x\nbudget: 20m\nnight: 0s\n")
    with pytest.raises(SpecError, match=r"mine\.yaml:3: `night`: must be more than 0"):
        Catalogue(root).profile("mine")


def test_wrong_reference_in_a_profile(root: Path) -> None:
    """The error points at the line of the unknown name."""
    file = root / "profiles" / "mine.yaml"
    file.write_text("description: mine\ncells:\n  - servers: [box]\n    workloads:\n      - chat\n      - chta\n")
    with pytest.raises(SpecError, match="no such workload: `chta`; did you mean `chat`") as caught:
        Catalogue(root).profile("mine")
    assert (caught.value.line, caught.value.key) == (6, "cells[0].workloads[1]")


def test_extends_merges_servers(root: Path) -> None:
    """The keys of both files keep their file and line."""
    small = root / "servers" / "small.yaml"
    small.write_text("extends: box\ndescription: less\nlaunch:\n  shm_size: 1MiB\n")
    spec = Catalogue(root).server("small")
    assert isinstance(spec.launch, DockerLaunch)
    assert (spec.description, spec.launch.image, spec.launch.shm_size) == ("less", "some/image:1", 2**20)
    small.write_text("extends: box\ndescription: less\nlaunch:\n  shm_size: 1\n")
    with pytest.raises(SpecError, match="got 1") as caught:
        Catalogue(root).server("small")
    assert (caught.value.file, caught.value.line) == (small, 4)


def test_circular_extends_is_an_error(root: Path) -> None:
    (root / "servers" / "a.yaml").write_text("extends: b\n")
    (root / "servers" / "b.yaml").write_text("extends: a\n")
    with pytest.raises(SpecError, match="`a` extends itself"):
        Catalogue(root).server("a")


def test_override_is_merged_over_the_yaml(root: Path) -> None:
    spec = Catalogue(root).server("box", {"launch": {"ipc": "host"}})
    assert isinstance(spec.launch, DockerLaunch)
    assert (spec.launch.ipc, spec.launch.image) == ("host", "some/image:1")
    with pytest.raises(SpecError, match="did you mean `shm_size`"):
        Catalogue(root).server("box", {"launch": {"shm_sizes": "1GiB"}})


def test_changed_prompts_are_noticed(root: Path) -> None:
    file = root / "prompts" / "code.jsonl"
    file.write_text(file.read_text() + '{"id": "new", "messages": [{"role": "user", "content": "?"}]}\n')
    with pytest.raises(SpecError, match="but SHA256SUMS lists"):
        Catalogue(root).prompts("code")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "truncated"),
        ('{"id": "x"}', "missing required field `messages`"),
        (
            '{"id": "x", "messages": [{"role": "user"}]}',
            "each message must have exactly the keys `role` and `content`",
        ),
        ('{"id": "code-01", "messages": [{"role": "user", "content": "?"}]}', "duplicate id"),
    ],
)
def test_wrong_prompt(root: Path, line: str, message: str) -> None:
    """The error has the line of the prompt."""
    from tokgate.config.prompts import read_prompts

    file = root / "prompts" / "code.jsonl"
    file.write_text(file.read_text() + line + "\n")
    with pytest.raises(SpecError, match=message) as caught:
        read_prompts(file, stated=False)
    assert caught.value.line == 9


plain = st.recursive(
    st.one_of(st.integers(), st.text("abc", max_size=3), st.none()),
    lambda inner: st.one_of(st.dictionaries(st.sampled_from("pqrs"), inner, max_size=3), st.lists(inner, max_size=3)),
    max_leaves=8,
)
mapping = st.dictionaries(st.sampled_from("pqrs"), plain, max_size=3)


@given(mapping, mapping)
def test_merge_replaces_only_what_is_given(below: dict[str, object], above: dict[str, object]) -> None:
    """Merging replaces the keys of the upper document and keeps all others."""
    here = Path("x.yaml")
    merged = Document(below, {(): (here, 1)}).merged(Document(above, {(): (here, 1)})).data
    for key, value in above.items():
        if not (isinstance(value, dict) and isinstance(below.get(key), dict)):
            assert merged[key] == value
    assert {key: merged[key] for key in below.keys() - above.keys()} == {
        key: below[key] for key in below.keys() - above.keys()
    }


def test_overrides_of_arms_are_checked(root: Path) -> None:
    """The override of an arm is checked together with the hypothesis."""
    (root / "hypotheses").mkdir(exist_ok=True)
    text = (
        "title: t\nsource: s\nworkload: chat\nrival: r\nclaim: {metric: decode_tps, above: 1.2}\n"
        "a: {server: box}\nb:\n  server: box\n  override:\n    launch: {shm_size: 16GiB}\n"
    )
    file = root / "hypotheses" / "more.yaml"
    file.write_text(text)
    b = Catalogue(root).hypothesis("more").b
    assert b is not None
    assert b.override == {"launch": {"shm_size": "16GiB"}}
    file.write_text(text.replace("shm_size", "shm_sise"))
    with pytest.raises(SpecError, match=r"did you mean `shm_size`\?"):
        Catalogue(root).hypothesis("more")


@pytest.mark.parametrize(
    ("claim", "b", "message"),
    [
        (
            "{metric: decode_tps}",
            "b: {server: box}",
            "expected exactly one of above/below, reach, fails, untreated, got none",
        ),
        (
            "{metric: decode_tps, above: 1, untreated: true}",
            "b: {server: box}",
            "got above/below and untreated",
        ),
        ("{above: 1.2}", "b: {server: box}", "the key `metric` is missing"),
        ("{metric: decode_tps, below: 0}", "b: {server: box}", "`below` must be a number above 0, got 0"),
        ("{metric: decode_tps, above: .nan}", "b: {server: box}", "`above` must be a number above 0, got nan"),
        (
            "{metric: decode_tps, above: 2, below: 1}",
            "b: {server: box}",
            "`above` must be less than `below`, got 2 and 1",
        ),
        ("{metric: decode_tps, above: 1.2}", "", "compares two arms, but the key `b` is missing"),
        ("{untreated: true}", "", "compares two arms, but the key `b` is missing"),
        (
            "{metric: decode_tps, above: 0.5, of: paper}",
            "b: {server: box}",
            "are about arm A alone; remove `b`",
        ),
        ("{metric: decode_tps, of: paper}", "", "got none"),
        ("{metric: decode_tps, of: paper, reach: 5}", "", "`of` requires `above` or `below`"),
        ("{metric: decode_tps, reach: 5}", "b: {server: box}", "remove `b`"),
    ],
)
def test_untestable_claims_are_rejected(root: Path, claim: str, b: str, message: str) -> None:
    """The error says why a claim cannot be tested."""
    (root / "hypotheses").mkdir(exist_ok=True)
    text = f"title: t\nsource: s\nworkload: chat\nrival: r\na: {{server: box}}\n{b}\nclaim: {claim}\n"
    (root / "hypotheses" / "wrong.yaml").write_text(text)
    with pytest.raises(SpecError, match=message) as caught:
        Catalogue(root).hypothesis("wrong")
    assert caught.value.key == "claim"
    assert caught.value.line == 7


@pytest.mark.parametrize(
    "claim", ["{metric: decode_tps, below: 0.7, of: measured}", "{metric: decode_tps, reach: 100}"]
)
def test_a_claim_about_one_server_has_one_arm(root: Path, claim: str) -> None:
    (root / "hypotheses").mkdir(exist_ok=True)
    text = f"title: t\nsource: s\nworkload: chat\nrival: r\na: {{server: box}}\nclaim: {claim}\n"
    (root / "hypotheses" / "alone.yaml").write_text(text)
    alone = Catalogue(root).hypothesis("alone")
    assert alone.claim.alone
    assert alone.b is None


ARMS = "arms:\n  small: {server: box}\n  medium: {server: box}\n  large: {server: box, override: {description: x}}\n"


def read_claim(root: Path, arms: str, claim: str) -> Hypothesis:
    """A hypothesis with these arms and this claim."""
    (root / "hypotheses").mkdir(exist_ok=True)
    text = f"title: t\nsource: s\nworkload: chat\nrival: r\n{arms}\nclaim: {claim}\n"
    (root / "hypotheses" / "arms.yaml").write_text(text)
    return Catalogue(root).hypothesis("arms")


def test_a_claim_may_have_three_arms(root: Path) -> None:
    claimed = read_claim(root, ARMS, "{metric: decode_tps, arm: large, above: 1.1}")
    assert list(claimed.named_arms) == ["small", "medium", "large"]
    assert claimed.claim.arm == "large"


@pytest.mark.parametrize(
    ("arms", "claim", "message"),
    [
        (ARMS, "{metric: decode_tps, above: 1.1}", "must name the arm .* `arm: large`"),
        (ARMS, "{metric: decode_tps, arm: larg, above: 1.1}", r"no such arm; did you mean `large`\?"),
        (ARMS, "{fails: b}", "`fails: b`: no such arm"),
        (ARMS + "a: {server: box}\n", "{fails: large}", "replaces `a` and `b`"),
        ("arms: {a: {server: box}}\n", "{fails: a}", "expected 2 to 6 arms, got 1"),
        ("b: {server: box}\n", "{fails: b}", "missing; give `a` and `b`, or `arms`"),
        ("arms: {a: {server: box}, c: {server: bax}}\n", "{fails: a}", "no such server: `bax`"),
    ],
)
def test_wrong_arms_are_rejected(root: Path, arms: str, claim: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        read_claim(root, arms, claim)
