"""The plugin on this repository: its options, what it refuses, and what it collects."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OPTIONS = (
    "profile",
    "server",
    "url",
    "model",
    "against",
    "hosts",
    "launches",
    "budget",
    "plan",
    "blocks",
    "again",
    "require",
    "strict",
    "out",
    "report",
    "no-wait",
)


def run_pytest(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_help_lists_all_options_in_one_group() -> None:
    text = run_pytest("--help").stdout
    group = text.split("tokgate: speed of LLM servers")[1].split("\n\n")[0]
    for option in OPTIONS:
        assert f"--tokgate-{option}" in group
        assert len(re.findall(rf"^  --tokgate-{option}(?![\w-])", text, re.MULTILINE)) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-n", "2"), "-n cannot be combined with -m perf: two servers at once"),
        (("--tokgate-launches", "none"), "--tokgate-launches must be a whole number (got 'none')"),
        (("--tokgate-launches", "0"), "--tokgate-launches must be at least 1 (got 0)"),
        (("--tokgate-blocks", "-1"), "--tokgate-blocks must be at least 1 (got -1)"),
        (("--tokgate-budget", "45"), "--tokgate-budget: expected a time with a unit, such as 30s"),
        (("--tokgate-budget", "0s"), "--tokgate-budget must be more than 0 (got 0s)"),
        (("--tokgate-budget", "45m", "--tokgate-launches", "3"), "--tokgate-budget cannot be combined with"),
        (("--tokgate-budget", "1s", "--tokgate-profile", "embedded"), "a budget of 1s is shorter than one launch: the"),
        (("--tokgate-hosts", "tcp://10.0.0.1:2375"), "--tokgate-hosts: tcp://10.0.0.1:2375: expected ssh://"),
        (
            ("--tokgate-hosts", "ssh://a", "--tokgate-plan"),
            "--tokgate-hosts cannot be combined with --tokgate-plan: each box makes its own plan",
        ),
        (("--tokgate-hosts", "ssh://a", "-n", "2"), "-n cannot be combined with -m perf"),
        (
            ("--tokgate-against", "embedded-smollm2", "--tokgate-launches", "3"),
            "--tokgate-against cannot be combined with",
        ),
        (
            ("--tokgate-against", "main=a"),
            "--tokgate-against main=a: expected two images, the one to compare with first",
        ),
        (("--tokgate-url", "http://127.0.0.1:1"), "--tokgate-url requires --tokgate-model"),
        (("--tokgate-model", "m"), "--tokgate-model requires --tokgate-url"),
        (("--tokgate-server", "embedded-smollm"), "did you mean `embedded-smollm2`"),
        (("--tokgate-profile", "embeded"), "no such profile: `embeded`; did you mean `embedded`"),
    ],
)
def test_wrong_options_are_one_message(arguments: tuple[str, ...], message: str) -> None:
    done = run_pytest("-m", "perf", "--collect-only", "--tokgate-profile", "embedded", *arguments)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("option", ["--tokgate-out", "--tokgate-profile"])
def test_path_after_a_space(tmp_path: Path, option: str) -> None:
    """pytest takes the path for a folder of tests, and that folder's parent for the root: the message says so."""
    path = tmp_path / "embedded.yaml"
    path.write_bytes((ROOT / "fixtures" / "profiles" / "embedded.yaml").read_bytes())
    collect = ("-m", "perf", "--collect-only", "-q")
    assert run_pytest(*collect, f"{option}={path}").returncode == 0
    done = run_pytest(*collect, option, str(path))
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"Next: write {option}={path} with an equals sign" in done.stderr


def test_a_folder_without_fixtures(tmp_path: Path) -> None:
    done = run_pytest("-m", "perf", cwd=tmp_path)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"{tmp_path} as the project's folder, but it contains no fixtures/" in done.stderr
    assert "run pytest in the folder of conftest.py" in done.stderr


def test_suite_is_collected_launch_by_launch() -> None:
    """The suite is collected launch by launch after the answers, then the verdicts."""
    done = run_pytest("-m", "perf", "--collect-only", "-q", "--tokgate-profile", "embedded", "--tokgate-launches", "2")
    names = [line.split("::")[1] for line in done.stdout.splitlines() if "::" in line]
    measuring = [name for name in names if name.startswith("test_measure")]
    assert names[: 1 + len(measuring)] == ["test_answers[embedded-smollm2]", *measuring]
    launches = [name.split("smollm2-")[1][0] for name in measuring]
    assert launches == sorted(launches)
    assert {name.rsplit("-", 1)[1] for name in names if "test_verdict" in name} >= {"decode_tps]", "ttft_s]"}


def test_suite_and_other_tests_are_separate() -> None:
    """The suite and the other tests are never collected together."""
    suite = run_pytest("-m", "perf", "--collect-only", "-q", "--tokgate-profile", "embedded").stdout
    assert "tests/perf/" in suite
    assert "tests/unit/" not in suite
    other = run_pytest("--collect-only", "-q", "tests/plugin", "tests/perf").stdout
    assert "tests/perf/" not in other
