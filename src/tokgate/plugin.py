"""The pytest plugin: options, hooks and the session fixture. How anything is done is below.

Everything heavy is imported when the suite runs, so that projects that only have tokgate installed
pay nothing for it.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tokgate._exceptions import NotChecked, RecordError, TokgateError
from tokgate._items import params_of
from tokgate._options import add_options, asked_for
from tokgate._screen import say, shown
from tokgate.spec.units import time_text

if TYPE_CHECKING:
    from tokgate.judge.verdict import Verdict
    from tokgate.store.runs import RunWriter
    from tokgate.suite.budget import Budget
    from tokgate.suite.plan import Plan
    from tokgate.suite.session import Session

EXIT_BROKEN = 6
"""Tests failed, but none for speed: invalid measurements, servers that do not start."""

PLAN: pytest.StashKey[Plan] = pytest.StashKey()
_BUDGET: pytest.StashKey[Budget] = pytest.StashKey()
_SESSION: pytest.StashKey[Session] = pytest.StashKey()
_PREVIEW: pytest.StashKey[str] = pytest.StashKey()
_FOLDER: pytest.StashKey[Path] = pytest.StashKey()
_WRITER: pytest.StashKey[RunWriter] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """All of tokgate's options, in one group of `pytest --help`."""
    add_options(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Register the marker; when the suite is asked for, plan it and give the run its folder.

    First of all plugins, because junitxml and pytest-benchmark ask in this hook where to write.
    """
    config.addinivalue_line("markers", "perf: the performance suite itself, run with -m perf")
    if not runs_suite(config):
        return
    if config.getoption("numprocesses", None) or config.getoption("dist", "no") != "no":
        raise pytest.UsageError(
            "-n with -m perf: two servers at once would share this machine's memory bandwidth and neither "
            "figure would be true. Leave out -n; the suite runs one server at a time."
        )
    with _usage_errors():
        config.stash[PLAN] = asked_for(config)
    if not _only_looks(config):
        _prepare(config)


def _only_looks(config: pytest.Config) -> bool:
    """Whether this run will say what it would do, and measure nothing."""
    return bool(config.option.collectonly or config.option.tokgate_plan)


def _prepare(config: pytest.Config) -> None:
    from tokgate.store.runs import new_run_folder

    with _usage_errors():
        folder = new_run_folder(Path(config.option.tokgate_out))
    config.stash[_FOLDER] = folder
    option = config.option
    option.xmlpath = option.xmlpath or str(folder / "junit.xml")
    option.benchmark_json = option.benchmark_json or str(folder / "benchmark.json")
    option.benchmark_quiet = True  # its table times whole cells; the verdict table is what people want
    if getattr(option, "timeout", 0) is None:
        option.timeout = 0  # a limit for tests (pytest-timeout's) would end a large model while it loads
    # Runners cancel with SIGTERM: it must end servers as Ctrl-C does.
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(signum: int, frame: object) -> None:
    """As Ctrl-C, by the same road: within a drive that is asyncio's own handler, which cancels cleanly."""
    signal.raise_signal(signal.SIGINT)


def runs_suite(config: pytest.Config) -> bool:
    """Whether this pytest was asked for the suite (`-m perf`) rather than for other tests."""
    return "perf" in config.option.markexpr.replace("not perf", "")


def pytest_report_header(config: pytest.Config) -> list[str]:
    """What is run and why, and what is therefore not checked."""
    plan = config.stash.get(PLAN, None)
    if plan is None:
        return []
    budget = config.option.tokgate_budget
    launches = (
        f"{plan.launches} launches of each server" if budget is None else f"a budget of {time_text(budget)}"
    )
    chosen = f"tokgate: profile {plan.profile.name} ({plan.why}), {launches}"
    return [chosen, *(f"tokgate: NOT CHECKED: {what}" for what in plan.not_checked)]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order the suite: server by server, launch by launch, then the verdicts; skip what cannot run."""
    plan = config.stash.get(PLAN, None)
    if plan is None:
        return
    budget = None
    if plan.unable is None and (config.option.tokgate_budget is not None or config.option.tokgate_plan):
        with _usage_errors():
            budget = _planned(config, items, plan)
    items.sort(key=lambda item: _order(item, plan, budget))
    if plan.unable is not None and not config.option.tokgate_require:
        for item in items:
            item.add_marker(pytest.mark.skip(f"not checked: {plan.unable}"))


def _planned(config: pytest.Config, items: list[pytest.Item], plan: Plan) -> Budget | None:
    """Show what the selected tests will measure; a budget leaves out the launches it cannot come to."""
    from tokgate._planning import plan_items

    terminal: Any = config.pluginmanager.getplugin("terminalreporter")
    budget, config.stash[_PREVIEW] = plan_items(
        config, items, plan, width=max(terminal._tw.fullwidth, 100), colour=terminal.hasmarkup
    )
    if budget is not None:
        config.stash[_BUDGET] = budget
    return budget


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    """What the run will do, when it is planned or asked for."""
    text = config.stash.get(_PREVIEW, None)
    return [] if text is None else ["", *text.splitlines()]


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """--tokgate-plan ends here: the plan stands above."""
    return True if PLAN in session.config.stash and session.config.option.tokgate_plan else None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before a server is tried: fail what is required and cannot be, skip what the budget does without."""
    plan = item.config.stash.get(PLAN, None)
    if plan is not None and plan.unable is not None and item.config.option.tokgate_require:
        pytest.fail(f"not checked: {plan.unable}", pytrace=False)
    session, params = item.config.stash.get(_SESSION, None), params_of(item)
    if session is not None and "server" in params:
        name, launch = params["server"]
        if (why := session.why_not((name, params["workload"]), launch)) is not None:
            pytest.skip(why)


def _order(item: pytest.Item, plan: Plan, budget: Budget | None) -> tuple[int, ...]:
    """Measuring tests first, by server, launch and workload; all else keeps its place after them."""
    params = params_of(item)
    if "server" in params:
        name, launch = params["server"]
        rank = budget.rank(name, launch) if budget else (0, plan.servers.index(name), launch)
        workloads = [cell.workload.name for cell in plan.cells_of(name)]
        return 0, *rank, workloads.index(params["workload"])
    return (1,)


@pytest.fixture(scope="session")
def tokgate(request: pytest.FixtureRequest) -> Iterator[Session]:
    """The run: its record, its one live server, its verdicts. Holds this machine's lease."""
    from tokgate._planning import chosen, compared_with
    from tokgate.launch.sweep import sweep
    from tokgate.machine.lease import lease
    from tokgate.suite.record import open_run
    from tokgate.suite.session import Session
    from tokgate.suite.verdicts import Verdicts

    config = request.config
    plan = config.stash[PLAN]
    command = _command(config)
    try:
        with lease(
            wait=not config.option.tokgate_no_wait,
            describe=" ".join(command),
            on_wait=lambda text: say(config, text),
        ):
            for removed in sweep():
                say(config, f"removed what a killed run left: {removed}")
            config.stash[_WRITER] = writer = open_run(plan, config.stash[_FOLDER], command=command)
            _, references = compared_with(config, writer.record)
            with Session(
                plan,
                writer,
                Verdicts(plan, chosen(request.session.items).family, references),
                config.stash.get(_BUDGET, None),
                around=lambda title: shown(config, title),
            ) as session:
                config.stash[_SESSION] = session
                yield session
    except TokgateError as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """A record that cannot be written ends the run: whatever it measured from here on would be lost.

    What the budget had no room for is skipped, or fails where it is required.
    """
    try:
        yield
    except NotChecked as gap:
        if item.config.option.tokgate_require:
            pytest.fail(f"not checked: {gap}", pytrace=False)
        pytest.skip(f"not checked: {gap}")
    except RecordError as error:
        pytest.exit(str(error), returncode=EXIT_BROKEN)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Close the record, and let the exit code tell a regression from a broken run from nothing measured."""
    config = session.config
    if PLAN not in config.stash or _only_looks(config):
        return
    writer = config.stash.get(_WRITER, None)
    if writer is None or not (writer.record.measurements or writer.record.verdicts):
        if exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED
        return
    if exitstatus == pytest.ExitCode.TESTS_FAILED and not any(
        _found_wrong(verdict, config) for verdict in writer.record.verdicts
    ):
        session.exitstatus = EXIT_BROKEN
    if exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):  # else it was cut off
        try:
            writer.end()
        except RecordError as error:
            say(config, str(error))
            session.exitstatus = EXIT_BROKEN


def _found_wrong(verdict: Verdict, config: pytest.Config) -> bool:
    """Whether a verdict is a finding: slower than its baseline, against what is recorded of a hypothesis,
    or, under --tokgate-strict, that the run cannot tell."""
    from tokgate.judge.hypothesis import contradicts

    experiments = config.stash[PLAN].experiments
    tested = [one.hypothesis for one in experiments if one.hypothesis.name == verdict.hypothesis]
    wrong = ("regressed", "inconclusive") if config.option.tokgate_strict else ("regressed",)
    return verdict.outcome in wrong or any(contradicts(one, verdict) for one in tested)


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_benchmark_generate_json(benchmarks: list[Any]) -> None:
    """Leave out what was interrupted before it gave a time: pytest-benchmark takes the minimum of nothing."""
    benchmarks[:] = [benchmark for benchmark in benchmarks if benchmark.stats.data]


def pytest_unconfigure(config: pytest.Config) -> None:
    """--tokgate-report, last of all: of a run that was cut off, and of one that could measure nothing, too."""
    folder = config.stash.get(_FOLDER, None)
    if folder is None or config.option.tokgate_report is None:
        return
    from tokgate.report.write import publish
    from tokgate.suite.record import open_run

    try:
        if _WRITER not in config.stash:
            open_run(config.stash[PLAN], folder, command=_command(config)).end()
        said = publish(folder, Path(config.option.tokgate_report))
    except RecordError as error:
        print(f"tokgate: no report: {error}", file=sys.stderr)
    else:
        print(f"tokgate: {said.state}: {said.title} Report: {config.option.tokgate_report}/report.html")


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """The verdict table, and where the record is."""
    writer = config.stash.get(_WRITER, None)
    if writer is None:
        return
    from tokgate.report.terminal import counts, summary

    terminal = terminalreporter
    terminal.section("tokgate")
    terminal.write_line(
        summary(writer.record, width=max(terminal._tw.fullwidth, 100), colour=terminal.hasmarkup)
    )
    terminal.write_line("")
    terminal.write_line(f"{counts(writer.record.verdicts)}. Record: {writer.folder / 'run.json'}")


@contextmanager
def _usage_errors() -> Iterator[None]:
    """What a person asked for and cannot have, as pytest says it: one message, exit code 4."""
    try:
        yield
    except TokgateError as error:
        raise pytest.UsageError(str(error)) from error


def _command(config: pytest.Config) -> tuple[str, ...]:
    return ("pytest", *map(str, config.invocation_params.args))
