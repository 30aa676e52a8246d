"""What the suite prints when something is wrong: one message, once, without a traceback."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tokgate.machine.fingerprint import compute_fingerprint_id, read_fingerprint
from tokgate.plugin.run import EXIT_BROKEN

pytest_plugins = "pytester"

ROOT = Path(__file__).parents[2]
SERVER = """\
description: its model is not there
engine: llama.cpp
launch: {kind: embedded, gguf: /nowhere/model.gguf}
model: {id: model}
"""
HYPOTHESIS = """\
title: t
source: s
a: {server: absent}
b: {server: absent, override: {launch: {threads: 1}}}
workload: code-c1
claim: {metric: decode_tps, above: 1.1}
rival: r
"""
PROFILE = """\
description: of a test
launches: 3
cells: [{servers: [absent], workloads: [code-c1, chat-c1]}]
hypotheses: [claim]
"""


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    """A profile with one server, whose model file does not exist."""
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / name, pytester.path)
    fixtures = pytester.path / "fixtures"
    shutil.copytree(ROOT / "fixtures", fixtures)
    (pytester.path / "tests").mkdir()
    (pytester.path / "tests" / "perf").symlink_to(ROOT / "tests" / "perf")
    (fixtures / "servers" / "absent.yaml").write_text(SERVER)
    (fixtures / "hypotheses" / "claim.yaml").write_text(HYPOTHESIS)
    (fixtures / "profiles" / "mine.yaml").write_text(PROFILE)
    return pytester


def perf(project: pytest.Pytester, *args: str) -> pytest.RunResult:
    return project.runpytest_subprocess("-m", "perf", "-p", "no:cacheprovider", "--tokgate-profile=mine", *args)


def test_server_that_cannot_start_is_reported_once(suite: pytest.Pytester) -> None:
    result = perf(suite)
    text = result.stdout.str() + result.stderr.str()
    assert result.ret == EXIT_BROKEN
    assert "Traceback" not in text
    assert "def " not in text
    sections = text.partition("= FAILURES =")[2].partition("short test summary info")[0]
    message = (
        "server absent: model file /nowhere/model.gguf does not exist. Next: put it there, or correct `launch.gguf`."
    )
    assert [line for line in sections.splitlines() if line == message] == [message]
    assert text.count(": failed: server absent: ") == 1, "it is not tried again"
    assert len(text.splitlines()) < 90


def test_required_server_that_cannot_start(suite: pytest.Pytester) -> None:
    """Every test fails, with one line each."""
    result = perf(suite, "--tokgate-require")
    text = result.stdout.str()
    assert result.ret == EXIT_BROKEN
    assert "Traceback" not in text
    assert result.parseoutcomes().keys() <= {"failed", "error", "errors", "passed"}
    assert len(text.splitlines()) < 130


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("date: 2026-01-01", "date: 2026-13-01", "absent.yaml:4: `date`: invalid value '2026-13-01'"),
        ("source: me", "source: !foo me", "absent.yaml:3: `source`: invalid value 'me': unknown tag `!foo`"),
        ("cells:", "cell:", "absent.yaml:5: `cell`: unknown key; did you mean `cells`?"),
        ("[10.0]", "ten", "absent.yaml:7: `cells.code-c1.metrics.decode_tps`: expected a list, got 'ten'"),
    ],
)
def test_wrong_baseline_is_one_message(suite: pytest.Pytester, old: str, new: str, message: str) -> None:
    text = (
        "server: absent\nprovenance: measured\nsource: me\ndate: 2026-01-01\n"
        "cells:\n  code-c1:\n    metrics: {decode_tps: [10.0]}\n"
    )
    folder = suite.path / "baselines" / "local" / compute_fingerprint_id(read_fingerprint())
    folder.mkdir(parents=True)
    (folder / "absent.yaml").write_text(text.replace(old, new))
    result = perf(suite)
    text = result.stdout.str() + result.stderr.str()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert message in text
    assert "Traceback" not in text
    assert len(text.splitlines()) < 40


def test_hostile_names_are_shown(suite: pytest.Pytester) -> None:
    """On the terminal and in JUnit XML."""
    hostile = SERVER.replace("/nowhere/model.gguf", '"/nowhere/\\e[31mred\\u202egnp"').replace("{kind", "{ kind")
    (suite.path / "fixtures" / "servers" / "absent.yaml").write_text(hostile)
    result = perf(suite, "--color=no", "--junitxml=junit.xml", "--tokgate-report=report")
    for text in (result.stdout.str(), result.stderr.str(), (suite.path / "junit.xml").read_text()):
        assert all(line.replace("\t", "").isprintable() for line in text.splitlines())
    assert r"/nowhere/\x1b[31mred\u202egnp does not exist" in result.stdout.str()
