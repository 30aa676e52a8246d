"""The plugin seen from projects: its options, its cost where nobody uses it, its order, what it skips."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tokgate.plugin.run import EXIT_BROKEN

pytest_plugins = "pytester"

ROOT = Path(__file__).parents[2]
TOKGATE = (sys.executable, "-c", "from tokgate.cli import main; main()")
PROFILE = """\
description: of a test
{hardware}launches: 2
cells:
  - servers: [embedded-smollm2, llamacpp-cpu]
    workloads: [code-c1, chat-c1]
"""


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    """The suite in a project of its own; `here` can run on any machine, `elsewhere` on one with an MI300X."""
    for name in ("conftest.py", "pyproject.toml"):
        (pytester.path / name).write_bytes((ROOT / name).read_bytes())
    for name in ("servers", "workloads", "prompts", "hardware"):
        pytester.mkdir("fixtures") if not (pytester.path / "fixtures").is_dir() else None
        (pytester.path / "fixtures" / name).symlink_to(ROOT / "fixtures" / name)
    (pytester.path / "tests").mkdir()
    (pytester.path / "tests" / "perf").symlink_to(ROOT / "tests" / "perf")
    profiles = pytester.path / "fixtures" / "profiles"
    profiles.mkdir()
    (profiles / "here.yaml").write_text(PROFILE.format(hardware=""))
    (profiles / "elsewhere.yaml").write_text(PROFILE.format(hardware="hardware: mi300x\n"))
    return pytester


def perf(project: pytest.Pytester, *args: str) -> pytest.RunResult:
    return project.runpytest_subprocess("-m", "perf", "-p", "no:cacheprovider", *args)


def test_unused_plugin_imports_nothing(pytester: pytest.Pytester) -> None:
    """A project that does not use the plugin imports nothing heavy."""
    pytester.makepyfile(
        """
        import sys

        def test_nothing_heavy_is_imported():
            heavy = {"openai", "numpy", "scipy", "docker", "aiohttp", "rich", "msgspec", "yaml", "uvloop"}
            assert not heavy & sys.modules.keys()
        """
    )
    command = (sys.executable, "-m", "pytest", "-q", "-p", "no:hypothesispytest", str(pytester.path))
    done = subprocess.run(command, cwd=pytester.path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert not (pytester.path / "runs").exists()


def test_order_is_servers_launches_then_verdicts(suite: pytest.Pytester) -> None:
    """Tests run server by server, the answers of each first, launch by launch, then the verdicts."""
    told = perf(suite, "--tokgate-profile", "here", "--collect-only", "-q").outlines
    ids = [line.split("::")[1] for line in told if "::" in line]
    assert ids[:10] == [
        test
        for server in ("embedded-smollm2", "llamacpp-cpu")
        for test in (
            f"test_answers[{server}]",
            *(
                f"test_measure[{server}-{launch}-{workload}]"
                for launch in (1, 2)
                for workload in ("code-c1", "chat-c1")
            ),
        )
    ]
    assert len(ids) == 10 + 2 * 2 * 3
    assert all(one.startswith("test_verdict[") for one in ids[10:])
    assert not (suite.path / "runs").exists(), "looking makes no run"


def test_plain_pytest_does_not_run_the_suite(suite: pytest.Pytester) -> None:
    result = suite.runpytest_subprocess("-p", "no:cacheprovider")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    assert "tokgate: profile" not in result.stdout.str()


def test_missing_hardware_is_skipped_with_its_reason(suite: pytest.Pytester) -> None:
    """Missing hardware is skipped with its reason, and nothing was checked."""
    result = perf(suite, "--tokgate-profile", "elsewhere", "-rs")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result.assert_outcomes(skipped=22)
    result.stdout.fnmatch_lines(
        [
            "tokgate: NOT CHECKED: everything of profile elsewhere: this machine has no mi300x*",
            "SKIPPED*no mi300x*",
        ]
    )


def test_a_run_dated_before_an_earlier_one_says_so(suite: pytest.Pytester) -> None:
    """The clock was set back, or had been ahead: it is in the report, and the ids are what the clock says."""
    ahead = suite.mkpydir("runs").joinpath("20990101T000000Z-abcdef")
    ahead.mkdir()
    (ahead / "run.json").write_text("")
    perf(suite, "--tokgate-profile", "elsewhere", "--tokgate-report=report")
    report = (suite.path / "report" / "report.md").read_text()
    assert f"**the order of the history**: run {ahead.name} is dated after this one" in report
    assert f"{ahead.name}/run.json: is empty" in report


def test_what_is_required_and_missing_fails(suite: pytest.Pytester) -> None:
    result = perf(suite, "--tokgate-profile", "elsewhere", "--tokgate-require")
    assert result.ret == EXIT_BROKEN, "1 is for what got slower"
    result.assert_outcomes(errors=22)
    result.stdout.fnmatch_lines(["*not checked: this machine has no mi300x*"])


def test_a_plan_is_printed_and_nothing_started(suite: pytest.Pytester) -> None:
    result = perf(suite, "--tokgate-profile", "here", "--tokgate-plan", "--tokgate-budget", "45m")
    assert result.ret == pytest.ExitCode.OK
    result.assert_outcomes()
    result.stdout.fnmatch_lines(
        [
            "tokgate: profile here (requested), a budget of 45m",
            "tokgate: steadiness: unknown: no earlier runs; run `tokgate doctor --steadiness`",
            "*server, workload * launches * requests * takes * smallest detectable drop*",
            " embedded-smollm2 *",
            "   code-c1 * no baseline*",
            "this run: 4 of 4 workloads, about * of 45m*",
            "everything once takes *: 1 run of 45m answers everything",
            "≈ is an estimate: no earlier run on this machine shows these times. Based on token counts and the*",
        ]
    )
    assert "\x1b[" not in result.stdout.str(), "plain text where nobody sees colours"
    assert not (suite.path / "runs").exists()


def test_the_plan_is_of_what_is_selected(suite: pytest.Pytester) -> None:
    only = ("-k", "test_verdict and llamacpp-cpu and chat-c1 and ttft_s")
    result = perf(suite, "--tokgate-profile", "here", "--tokgate-plan", *only)
    assert result.ret == pytest.ExitCode.OK
    text = result.stdout.str()
    assert "chat-c1" in text
    assert "code-c1" not in text
    assert "embedded-smollm2" not in text
    result.stdout.fnmatch_lines([" llamacpp-cpu * 2 * ≈ *", "   chat-c1 * 2 * 2 × 6 *", "launches take about *s"])


@pytest.mark.parametrize(
    ("options", "length"),
    [
        ((), "a budget of 20m"),
        (("--tokgate-budget", "night"), "a budget of 7h00m"),
        (("--tokgate-budget", "night", "--tokgate-launches", "3"), "3 launches of each server"),
    ],
)
def test_budget_of_the_profile(suite: pytest.Pytester, options: tuple[str, ...], length: str) -> None:
    """The profile's budget applies unless an option says otherwise."""
    timed = PROFILE.format(hardware="budget: 20m\nnight: 7h\n")
    (suite.path / "fixtures" / "profiles" / "timed.yaml").write_text(timed)
    result = perf(suite, "--tokgate-profile", "timed", "--collect-only", *options)
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines([f"tokgate: profile timed (requested), {length}"])


def test_plan_of_a_profile_of_another_machine(suite: pytest.Pytester) -> None:
    """A plan is printed on any machine; `tokgate plan` prints the same one."""
    result = perf(suite, "--tokgate-profile", "elsewhere", "--tokgate-plan")
    assert result.ret == pytest.ExitCode.OK
    lines = [
        "*server, workload * launches * takes * smallest detectable drop*",
        " embedded-smollm2 * ≈ *",
        "this machine cannot run it: this machine has no mi300x*",
        "launches take about *",
    ]
    result.stdout.fnmatch_lines(lines)
    command = suite.run(*TOKGATE, "plan", "--profile", "elsewhere")
    assert command.ret == 0
    command.stdout.fnmatch_lines(["profile elsewhere (requested), 2 launches of each server", *lines])
    plain = [line for line in command.outlines if line.strip()]
    assert plain[1:] == [line for line in result.outlines if line in plain[1:]]


def test_what_a_budget_leaves_for_later_comes_last(suite: pytest.Pytester) -> None:
    """After the verdicts on the rest; it runs if there is time."""
    planned = suite.run(*TOKGATE, "plan", "--profile", "here", "--json")
    half = f"{round(1000 * json.loads(planned.stdout.str())['alone_s'] * 0.6)}ms"
    told = perf(suite, "--tokgate-profile", "here", "--tokgate-budget", half, "--collect-only", "-q").outlines
    ids = [line.split("::")[1] for line in told if "::" in line]
    parts = {"embedded-smollm2": "tonight", "llamacpp-cpu": "later"}
    order = [(parts[next(name for name in parts if name in test)], test.partition("[")[0]) for test in ids]
    assert list(dict.fromkeys(order)) == [
        (part, test) for part in ("tonight", "later") for test in ("test_answers", "test_measure", "test_verdict")
    ]
    assert not (suite.path / "runs").exists()
