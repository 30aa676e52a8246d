"""Text in the project is plain technical English: phrases that readers stumbled over are rejected.

Add a phrase when a review replaces it: a regular expression (a space also matches a line break, case is ignored), and
what to write instead. Reference pages are written from the code, which is checked itself.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLACES = (
    "src",
    "docs",
    "fixtures",
    "ci",
    "bench",
    "conftest.py",
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
)
SUFFIXES = {".py", ".md", ".yaml", ".html", ".css", ".sh", ".service", ".timer", ".toml", ".j2", ""}

PHRASES = {
    # Calques and idioms
    r"stands? twice": "duplicate",
    r"(?:stands?|stood|standing) on\b": "is based on",
    r"mend(?:s|ed|ing)?\b": "fix",
    r"gone round\b|goes round\b": "skipped",
    r"(?:is|are|too) dear\b|dear(?:er|est)\b": "expensive",
    r"so many\b": "the number of",
    r"in words\b": "leave out, or: as text",
    r"by what there is\b": "from the available data",
    r"what (?:comes|came) of\b": "results",
    r"h[au]ng(?:s|ing)? on\b": "depends on",
    r"one more is refused\b": "another one is rejected",
    r"bears? (?:\w+ ){0,3}out\b": "confirms",
    r"no two (?:\w+ )?are alike\b": "no two agree",
    r"to a per cent\b": "to within 1 %",
    r"characters of less than\b": "entropy per character of less than",
    r"go(?:es)? home\b|brings? \w+(?: \w+)? home\b": "sends to the controller",
    r"sa(?:id|ys?) so\b": "decided, or: confirms",
    r"to be had\b": "available",
    r"what of\b": "leave out, or: X's",
    r"(?:is|are|was|were|be) told\b(?! to)": "is reported",
    r"it takes instead\b": "or wait for",
    r"anew\b": "again",
    r"a fresh one\b": "a repeat launch, or: a new one",
    r"(?<!there )is no (?!longer\b|more\b|slower\b|faster\b|larger\b|smaller\b)": "is not a, or: no such",
    r"which run\?": "Pass either a run ID or --latest",
    r"nothing to attach to\b": "Could not connect to URL. Is the server running?",
    r"go together:": "requires",
    r"a whole number of launches\b": "must be at least 1",
    r"has its turn\b": "is launched, or: runs",
    r"no room\b": "the budget is too small",
    r"would have (?:seen|shown?)\b|could have seen\b": "can detect",
    r"can be blamed for\b": "is not at fault",
    r"the host meanwhile\b": "host activity",
    r"\(as asked\)": "(requested)",
    r"longest of\b": "max, n",
    r"nobody else's business\b": "private to this machine",
    # The package as a house
    r"(?:the|this|its|our) house\b": "package",
    r"(?:the|these|several|two|each|this|its) floors?\b|floor (?:below|above|that)\b": "layer",
    r"rooms\b|(?:the|one|another|each|this|its) room\b": "package, or: module",
    r"thin doors?\b": "thin entry points",
    # British spelling
    r"colours?\b|coloured\b": "color",
    r"grey(?:ed)?\b": "gray",
    r"behaviours?\b": "behavior",
    r"artefacts?\b": "artifact",
    r"neighbours?\b": "neighbor",
    r"favour(?:s|ed|ite)?\b": "favor",
    r"centre[ds]?\b": "center",
    r"(?:optim|serial|normal|organ|recogn|initial|general|synchron|parametr)is(?:e|es|ed|ing|ation)\b": "-ize",
}
PARTICIPLES = {"told", "found", "shown", "said", "given", "asked", "asked_for", "measured"}
"""Functions are verbs and values are nouns: `format_table`, `verdicts`, `message`, `rows`."""

LONGEST_TEST_NAME = 50
"""A test's name fits on a line of pytest's output; the sentence is in the docstring."""

WHITESPACE = r"[\s#]+"  # a line break, also inside a comment


def texts() -> Iterator[tuple[Path, str]]:
    """The project's own text files below `PLACES`, as git knows them."""
    listed = subprocess.run(["git", "ls-files", "-z", *PLACES], cwd=ROOT, capture_output=True, check=True).stdout
    for name in listed.decode().split("\0"):
        path = ROOT / name
        if path.suffix in SUFFIXES and path.is_file() and not name.startswith("docs/reference/"):
            yield path, path.read_text(encoding="utf-8")


def find_phrases(text: str, phrases: dict[str, str]) -> list[tuple[int, str, str]]:
    """Line, text found and what to write instead, for each listed phrase in `text`; also across line breaks."""
    hits = [
        (text.count("\n", 0, match.start()) + 1, " ".join(match[0].split()), instead)
        for phrase, instead in phrases.items()
        for match in re.finditer(rf"(?<!\w)(?:{_across_lines(phrase)})", text, re.IGNORECASE)
    ]
    return sorted(hits)


def _across_lines(phrase: str) -> str:
    """`phrase` with line breaks allowed for spaces, outside of look-behinds, which need a fixed width."""
    parts = re.split(r"(\(\?<!.*?\))", phrase)
    return "".join(part if part.startswith("(?<!") else part.replace(" ", WHITESPACE) for part in parts)


def find_names(source: str) -> list[tuple[int, str, str]]:
    """Line, name and what to write instead, for each function or variable that is named by a participle or `one`."""
    nodes = list(ast.walk(ast.parse(source)))
    # Fields are part of records and YAML.
    fields = {
        field.target
        for node in nodes
        if isinstance(node, ast.ClassDef)
        for field in node.body
        if isinstance(field, ast.AnnAssign)
    }
    hits = []
    for node in nodes:
        if not isinstance(node, ast.stmt | ast.expr | ast.arg) or node in fields:
            continue
        name = _defined_name(node).strip("_")
        if name in PARTICIPLES:
            hits.append((node.lineno, name, "a verb for a function, a noun for a value"))
        if name == "one":
            hits.append((node.lineno, name, "the thing's name: for cell in cells"))
    return sorted(hits)


def _defined_name(node: ast.AST) -> str:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return node.name
    if isinstance(node, ast.arg):
        return node.arg
    return node.id if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) else ""


def test_text_is_plain_english() -> None:
    hits = [
        f"{path.relative_to(ROOT)}:{line}: `{seen}`; write instead: {instead}"
        for path, text in texts()
        for line, seen, instead in find_phrases(text, PHRASES)
    ]
    assert not hits, "\n".join(["", *hits])


def test_names_are_verbs_and_nouns() -> None:
    hits = [
        f"{path.relative_to(ROOT)}:{line}: `{name}`; write instead: {instead}"
        for path, text in texts()
        if path.suffix == ".py"
        for line, name, instead in find_names(text)
    ]
    assert not hits, "\n".join(["", *hits])


def test_test_names_are_short() -> None:
    hits = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.name} has {len(node.name)} characters"
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and len(node.name) > LONGEST_TEST_NAME
    ]
    assert not hits, "\n".join([f"at most {LONGEST_TEST_NAME}; the sentence belongs in the docstring", *hits])


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("the key `x` stands twice", 1),
        ("first\nThis is no CSV file", 2),
        ("it stands\n    # on one figure", 1),
        ("grey", 1),
    ],
)
def test_a_listed_phrase_is_found(text: str, line: int) -> None:
    assert [hit[0] for hit in find_phrases(text, PHRASES)] == [line]


@pytest.mark.parametrize("text", ["there is no server", "it is no longer needed", "recommended", "headroom"])
def test_plain_text_is_accepted(text: str) -> None:
    assert find_phrases(text, PHRASES) == []


def test_a_participle_is_found() -> None:
    source = "class Row:\n    found: int\n\ndef told(given: int) -> int:\n    for one in []:\n        said = one\n"
    assert [(line, name) for line, name, _ in find_names(source)] == [
        (4, "given"),
        (4, "told"),
        (5, "one"),
        (6, "said"),
    ]
