"""The plugin on this repository: its options, what it refuses, and what it collects."""

from __future__ import annotations

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
    "hosts",
    "launches",
    "budget",
    "plan",
    "blocks",
    "require",
    "strict",
    "out",
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


def test_all_options_stand_in_one_group_of_the_help() -> None:
    text = run_pytest("--help").stdout
    group = text.split("tokgate: speed of LLM servers")[1].split("\n\n")[0]
    for option in OPTIONS:
        assert f"--tokgate-{option}" in group
        assert text.count(f"\n  --tokgate-{option}") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-n", "2"), "-n with -m perf: two servers at once"),
        (("--tokgate-launches", "none"), "expected a whole number of launches"),
        (("--tokgate-launches", "0"), "expected a whole number of launches"),
        (("--tokgate-budget", "45"), "--tokgate-budget: expected a time with its unit, such as 30s"),
        (("--tokgate-budget", "0s"), "--tokgate-budget 0s: a budget is more than nothing"),
        (("--tokgate-budget", "45m", "--tokgate-launches", "3"), "--tokgate-budget plans the launches"),
        (("--tokgate-hosts", "tcp://10.0.0.1:2375"), "--tokgate-hosts: tcp://10.0.0.1:2375: expected ssh://"),
        (
            ("--tokgate-hosts", "ssh://a", "--tokgate-plan"),
            "by that box's own plan; leave out --tokgate-plan",
        ),
        (("--tokgate-hosts", "ssh://a", "-n", "2"), "-n with -m perf: two servers at once"),
        (("--tokgate-url", "http://127.0.0.1:1"), "--tokgate-url and --tokgate-model go together"),
        (("--tokgate-server", "embedded-smollm"), "did you mean `embedded-smollm2`"),
        (("--tokgate-profile", "embeded"), "no such profile: `embeded`; did you mean `embedded`"),
    ],
)
def test_options_that_make_no_sense_are_one_message(arguments: tuple[str, ...], message: str) -> None:
    done = run_pytest("-m", "perf", "--collect-only", "--tokgate-profile", "embedded", *arguments)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("form", ["--tokgate-out={}", "--tokgate-out {}"])
def test_a_folder_elsewhere_for_the_records_is_taken_or_told_how(tmp_path: Path, form: str) -> None:
    words = form.format(tmp_path).split()
    done = run_pytest("-m", "perf", "--collect-only", "-q", "--tokgate-profile", "embedded", *words)
    if len(words) == 1:
        assert done.returncode == 0, done.stderr
    else:  # pytest takes the second word for a folder of tests, and that folder's parent for the root
        assert done.returncode == pytest.ExitCode.USAGE_ERROR
        assert "write --tokgate-out=DIR with an equals sign" in done.stderr


def test_the_suite_is_collected_launch_by_launch_and_then_judged() -> None:
    done = run_pytest(
        "-m", "perf", "--collect-only", "-q", "--tokgate-profile", "embedded", "--tokgate-launches", "2"
    )
    names = [line.split("::")[1] for line in done.stdout.splitlines() if "::" in line]
    measuring = [name for name in names if name.startswith("test_measure")]
    assert names[: len(measuring)] == measuring
    launches = [name.split("smollm2-")[1][0] for name in measuring]
    assert launches == sorted(launches)
    assert {name.rsplit("-", 1)[1] for name in names if "test_verdict" in name} >= {"decode_tps]", "ttft_s]"}


def test_the_suite_and_the_other_tests_do_not_collect_each_other() -> None:
    suite = run_pytest("-m", "perf", "--collect-only", "-q", "--tokgate-profile", "embedded").stdout
    assert "tests/perf/" in suite
    assert "tests/unit/" not in suite
    other = run_pytest("--collect-only", "-q", "tests/plugin", "tests/perf").stdout
    assert "tests/perf/" not in other
