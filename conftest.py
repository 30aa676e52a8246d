"""How the suite hangs together, in one page. Each mechanism is in the package, `src/tokgate/`.

    pytest -m perf
      └─ profile   which servers × workloads this machine can run      (fixtures/profiles/)
          └─ server    one launch of one of them, alone on the machine (fixtures/servers/)
              ├─ test_answers   right before fast
              └─ test_measure   a fixed prompt set, driven and timed    (fixtures/workloads/, prompts/)
      └─ test_verdict  all launches of a cell compared with its baseline (baselines/)
      └─ test_hypothesis   a claim tested on its arms, in mirrored blocks (fixtures/hypotheses/)

Everything measured is in `runs/<time>-<id>/run.json` the moment it is measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tokgate.plugin.hooks import runs_suite
from tokgate.plugin.options import OPTIONS
from tokgate.plugin.run import PLAN

if TYPE_CHECKING:
    from tokgate.launch.server import Server
    from tokgate.suite.session import Session


def pytest_configure(config: pytest.Config) -> None:
    """The suite needs its plugin, which `-p no:tokgate` and PYTEST_DISABLE_PLUGIN_AUTOLOAD leave out."""
    if runs_suite(config) and OPTIONS not in config.stash:
        raise pytest.UsageError(
            "-m perf requires the plugin of tokgate. Next: leave out what disables it, or add -p tokgate.plugin.hooks"
        )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """`-m perf` is the suite alone and plain `pytest` is all but it: import only what will run."""
    plan = config.stash.get(PLAN, None)
    if plan is not None:
        canaries = any(case.canary for case in plan.cases) and plan.opponent is None
        empty = {
            "test_answers.py": not canaries,
            "test_hypotheses.py": not plan.experiments,
            "test_speed.py": not plan.cases,
        }
        if empty.get(collection_path.name):
            return True
    is_suite = collection_path == config.rootpath / "tests" / "perf"
    is_other = collection_path.parent == config.rootpath / "tests" and not is_suite
    return True if (is_other if runs_suite(config) else is_suite) else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test of each server's answers, a measuring test for each launch × workload, a verdict test for each metric."""
    plan = metafunc.config.stash.get(PLAN, None)
    if plan is None:
        return
    from tokgate.judge.cell import CellKey
    from tokgate.suite.live import LaunchKey

    if "server" in metafunc.fixturenames:
        # One object a launch: pytest keeps a session fixture while its parameter is the same object.
        launches = {name: [LaunchKey(name, n + 1) for n in range(plan.launches)] for name in plan.servers}
        cases = [(key, case) for name in plan.servers for key in launches[name] for case in plan.cases_of(name)]
        metafunc.parametrize(
            ("server", "workload"),
            [(key, case.workload.name) for key, case in cases],
            ids=[f"{key.server}-{key.launch}-{case.workload.name}" for key, case in cases],
            indirect=["server"],
            scope="session",
        )
    if "answering" in metafunc.fixturenames:
        metafunc.parametrize("answering", plan.servers)
    if "judged" in metafunc.fixturenames:
        keys = [
            CellKey(case.server.name, case.workload.name, metric)
            for case in plan.cases
            for metric in case.workload.gated
        ]
        metafunc.parametrize("judged", keys, ids=["-".join(key) for key in keys])
    if "experiment" in metafunc.fixturenames:
        metafunc.parametrize("experiment", plan.experiments, ids=[e.hypothesis.name for e in plan.experiments])


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest, tokgate: Session) -> Iterator[Server]:
    """One launch of one server. Only one lives at a time, and it has ended when the next one starts."""
    name, launch = request.param
    yield tokgate.start_server(name, launch)
    tokgate.stop_server()
