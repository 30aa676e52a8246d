"""A real slowdown of 32 % under options and plugins that skip, end, repeat or reorder tests.

It is found, or its verdict is listed as missing with the reason; only what the user leaves out passes.
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tokgate.drive.truth.process import TruthServer, start_truth_server
from tokgate.drive.truth.scenario import Scenario

FAST = Scenario(ttft_s=0.01, itl_s=0.004)
SLOW = Scenario(ttft_s=0.01, itl_s=0.004, slowdown=1 / (1 - 0.32))
REGRESSED, USAGE, BROKEN = 1, 4, 6
LAUNCHES = "3"

# What plugins do that are not installed here, by the hooks that they use (rerunfailures, repeat, randomly), and others.
PLUGINS = {
    "skips": "def pytest_collection_modifyitems(items):\n"
    "    for item in verdicts(items):\n"
    "        item.add_marker(pytest.mark.skip('not today'))\n",
    "drops": "def pytest_collection_modifyitems(items):\n    items[:] = [i for i in items if i not in verdicts(items)]\n",
    "swallows": "def pytest_runtest_protocol(item):\n    return True if verdicts([item]) else None\n",
    "raises": "def pytest_runtest_call(item):\n    if verdicts([item]):\n        raise RuntimeError('boom')\n",
    "raises_once": "def pytest_runtest_call(item):\n"
    "    if verdicts([item]) and 'decode_tps' in item.name:\n"
    "        raise RuntimeError('boom')\n",
    "hangs_once": "def pytest_collection_modifyitems(items):\n"
    "    verdicts(items)[0].add_marker(pytest.mark.timeout(1))\n"
    "def pytest_runtest_call(item):\n"
    "    if item.get_closest_marker('timeout'):\n"
    "        time.sleep(60)\n",
    "reverses": "@pytest.hookimpl(tryfirst=True)\ndef pytest_collection_modifyitems(items):\n    items.reverse()\n",
    "repeats": "@pytest.fixture(autouse=True)\n"
    "def step(request):\n"
    "    pass\n"
    "def pytest_generate_tests(metafunc):\n"
    "    metafunc.parametrize('step', (1, 2), indirect=True)\n",
    "reruns": "def pytest_runtest_protocol(item, nextitem):\n"
    "    runtestprotocol(item, nextitem=nextitem, log=False)\n"
    "    item._initrequest()\n"
    "    for report in runtestprotocol(item, nextitem=nextitem, log=False):\n"
    "        item.ihook.pytest_runtest_logreport(report=report)\n"
    "    return True\n",
}
PLUGIN = """
import time
import pytest
from _pytest.runner import runtestprotocol

def verdicts(items):
    return [item for item in items if "test_verdict" in item.name]

"""


class Attacked(NamedTuple):
    """A project whose server is 32 % slower than its baseline, and the options that attach to it."""

    project: Any
    options: tuple[str, ...]

    def perf(self, *options: str) -> Any:
        return self.project.perf(*self.options, *options)

    def check(self, options: tuple[str, ...], code: int, reason: str) -> None:
        """Run with these options; each of the three verdicts is given, or missing with this reason."""
        project = self.project
        before = len(project.runs)
        finished = self.perf(*options)
        outcomes = [] if len(project.runs) == before else [one["outcome"] for one in project.verdicts()]
        print(f"| {' '.join(options)} | {', '.join(outcomes)} | {finished.code} |")
        assert finished.code == code, finished.output
        assert "INTERNALERROR" not in finished.output
        assert reason in " ".join(finished.output.split())
        if code == REGRESSED:
            assert "regressed" in outcomes
        if code != USAGE:
            record = project.record()
            assert len(record["missing"]) + len(outcomes) == 3
            assert not reason or any(reason in line for line in record["not_checked"])


@pytest.fixture(scope="module")
def truth() -> Iterator[TruthServer]:
    with start_truth_server() as server:
        yield server


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory, make_project: Any, truth: TruthServer) -> Attacked:
    project = make_project(tmp_path_factory.mktemp("attacked"))
    project.ignore_disturbances()
    project.workload("brief", requests=2, max_tokens=16)
    for name, hooks in PLUGINS.items():
        (project.folder / f"{name}.py").write_text(PLUGIN + hooks)
    attached = ("--tokgate-profile", "brief", "--tokgate-url", truth.url, "--tokgate-model", "reference")
    truth.serve(FAST)
    first = project.perf(*attached, "--tokgate-launches", LAUNCHES)
    assert first.code == 0, first.output
    accepted = project.tokgate("baseline", "accept", "latest")
    assert accepted.code == 0, accepted.output
    truth.serve(SLOW)
    return Attacked(project, (*attached, "--tokgate-launches", LAUNCHES))


Row = tuple[tuple[str, ...], int, str]
"""Options, the exit code, and the reason of the missing verdicts or the usage error; empty where none is missing."""

SHORT: tuple[Row, ...] = (
    (("-p", "reverses", "-p", "repeats", "-p", "reruns"), REGRESSED, ""),
    (("-p", "hangs_once", "-p", "no:terminal", "--benchmark-disable"), REGRESSED, ""),
    (("--benchmark-only", "--tokgate-require", "--tokgate-strict"), BROKEN, "Skipped: Skipping non-benchmark"),
    (("-p", "raises", "-k", "ttft_s"), BROKEN, "its test ended with RuntimeError: boom"),
    (("-k", "test_measure and 1-brief"), 0, "3 verdicts: not selected (-k 'test_measure and 1-brief')"),
    (("-p", "no:benchmark"), USAGE, "-m perf requires pytest-benchmark"),
)
LONG: tuple[Row, ...] = (
    ((), REGRESSED, ""),
    (("--benchmark-only",), BROKEN, "its test ended with Skipped: Skipping non-benchmark (--benchmark-only"),
    (("--benchmark-skip",), REGRESSED, ""),
    (("--benchmark-disable",), REGRESSED, ""),
    (("-p", "no:junitxml"), USAGE, "Unknown config option: junit_family"),
    (("-p", "no:cacheprovider"), REGRESSED, ""),
    (("-p", "no:terminal"), REGRESSED, ""),
    (("-n", "2"), USAGE, "-n cannot be combined with -m perf"),
    (("-x", "-p", "skips"), BROKEN, "its test ended with Skipped: not today"),
    (("-x",), REGRESSED, ""),
    (("--maxfail", "1", "-p", "raises"), BROKEN, "the run stopped before it (stopping after 1 failures)"),
    (("--timeout", "0.05"), BROKEN, "Timeout (>0.05s) from pytest-timeout"),
    (("-k", "decode_tps"), REGRESSED, "2 verdicts: not selected (-k 'decode_tps')"),
    (("-k", "test_measure"), 0, "3 verdicts: not selected (-k 'test_measure')"),
    (("-k", "test_measure", "--tokgate-require"), BROKEN, "3 verdicts: not selected (-k 'test_measure')"),
    (("--deselect", "tests/perf/test_speed.py::test_verdict"), 0, "3 verdicts: not selected (--deselect tests/"),
    (("-p", "skips"), BROKEN, "its test ended with Skipped: not today"),
    (("-p", "drops"), 0, "3 verdicts: not selected"),
    (("-p", "swallows"), BROKEN, "its test did not run"),
    (("-p", "raises"), BROKEN, "its test ended with RuntimeError: boom"),
    (("-p", "raises_once"), REGRESSED, ""),
    (("-p", "hangs_once"), REGRESSED, ""),
    (("-p", "reverses"), REGRESSED, ""),
    (("-p", "repeats"), REGRESSED, ""),
    (("-p", "reruns"), REGRESSED, ""),
    (("--ff",), REGRESSED, ""),
    (("--lf",), REGRESSED, ""),
)


def name_row(value: object) -> str:
    return " ".join(value) if isinstance(value, tuple) else ""


@pytest.mark.parametrize(("options", "code", "reason"), SHORT, ids=name_row)
def test_no_option_hides_a_slowdown(attacked: Attacked, options: tuple[str, ...], code: int, reason: str) -> None:
    attacked.check(options, code, reason)


@pytest.mark.long
@pytest.mark.parametrize(("options", "code", "reason"), LONG, ids=name_row)
def test_the_whole_table(attacked: Attacked, options: tuple[str, ...], code: int, reason: str) -> None:
    """Each option alone."""
    attacked.check(options, code, reason)


def test_a_run_that_lacks_verdicts(attacked: Attacked) -> None:
    """Its record, JUnit XML and report say so, and it becomes a baseline only with a reason."""
    project = attacked.project
    finished = attacked.perf("-p", "skips", "--tokgate-report=report")
    assert finished.code == BROKEN, finished.output
    run = project.runs[-1]
    record = json.loads((run / "run.json").read_bytes())
    assert record["ended"] is not None
    assert [(each["name"], each["deselected"]) for each in record["missing"]] == [
        (f"attached × brief {metric}", False) for metric in ("decode_tps", "prefill_tps", "ttft_s")
    ]
    line = "attached × brief decode_tps, attached × brief prefill_tps, attached × brief ttft_s: its test ended with "
    assert line + "Skipped: not today" in record["not_checked"]
    properties = {each.get("value") for each in ET.parse(run / "junit.xml").findall(".//testsuite/properties/property")}
    assert line + "Skipped: not today" in properties
    assert "No verdict on 3 figures." in (run / "report.md").read_text()
    refused = project.tokgate("baseline", "accept", "latest")
    assert refused.code == 3, refused.output
    assert "no verdict on attached × brief decode_tps" in refused.output


def test_another_server_is_not_compared(attacked: Attacked, tmp_path: Path) -> None:
    """A slower server of the same model does not hide behind the baseline of what was attached before."""
    with start_truth_server() as other:
        other.serve(SLOW)
        attached = ("--tokgate-profile", "brief", "--tokgate-url", other.url, "--tokgate-model", "reference")
        finished = attacked.project.perf(*attached, "--tokgate-launches", "2")
    assert finished.code == 0, finished.output
    assert {one["outcome"] for one in attacked.project.verdicts()} == {"no_baseline"}
    assert f"the baseline belongs to another server (url: {attacked.options[3]} → {other.url})" in " ".join(
        finished.output.split()
    )
