"""The hooks of the pytest plugin, and its session fixture; the modules beside it and the layers below do the work.

Heavy modules are imported only when the suite runs: pytest must not become slower in every project whose
environment contains tokgate.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from tokgate._exceptions import RecordError, TokgateError
from tokgate._printable import escape_line
from tokgate._secrets import remember_variables
from tokgate.plugin.ending import end_run, mark_broken
from tokgate.plugin.hosts import become_controller, become_worker
from tokgate.plugin.items import get_params
from tokgate.plugin.missing import mark_explained, note_end
from tokgate.plugin.options import OPTIONS, add_options, check_plugins, check_root, parse_options
from tokgate.plugin.reports import clean_report, convert_errors
from tokgate.plugin.run import (
    EXIT_BROKEN,
    FOLDER,
    PLAN,
    WRITER,
    is_dry_run,
    plan_suite,
    prepare_run,
    publish_report,
    usage_errors,
)
from tokgate.plugin.screen import find_style, has_spoken

if TYPE_CHECKING:
    from tokgate.suite.budget import Budget
    from tokgate.suite.outlook import Outlook
    from tokgate.suite.plan import RunPlan
    from tokgate.suite.session import Session

_BUDGET: pytest.StashKey[Budget] = pytest.StashKey()
_SESSION: pytest.StashKey[Session] = pytest.StashKey()
_OUTLOOK: pytest.StashKey[Outlook] = pytest.StashKey()
_PREVIEW: pytest.StashKey[str] = pytest.StashKey()
_RUNNING: pytest.StashKey[ExitStack] = pytest.StashKey()
"""Holds the machine and the live server."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare all options of tokgate in one group of `pytest --help`."""
    add_options(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Register the marker and read the options; for `-m perf`, plan the suite and create the folder of the run.

    tryfirst: junitxml and pytest-benchmark read the paths of their files in this hook.
    """
    config.addinivalue_line("markers", "perf: the performance suite itself, run with -m perf")
    config.stash[OPTIONS] = parse_options(config)
    if not runs_suite(config):
        return
    if config.getoption("numprocesses", None) or config.getoption("dist", "no") != "no":
        raise pytest.UsageError(
            "-n cannot be combined with -m perf: two servers at once would share the memory bandwidth of this "
            "machine, and neither measurement would be right. Next: leave out -n"
        )
    check_plugins(config)
    remember_variables(os.environ)
    check_root(config)
    with usage_errors():
        plan = plan_suite(config)
        if become_controller(config):
            return
        config.stash[PLAN] = plan
        if not is_dry_run(config):
            prepare_run(config, name=become_worker(config))
            option = config.option
            option.benchmark_json = option.benchmark_json or str(config.stash[FOLDER] / "benchmark.json")
            # Its table shows the durations of whole tests, which are not what tokgate measures.
            option.benchmark_quiet = True


def runs_suite(config: pytest.Config) -> bool:
    """Whether this session runs the suite (`-m perf`) and not other tests."""
    return "perf" in config.option.markexpr.replace("not perf", "")


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Show the profile, why it was chosen, how steady this machine is, and what is not checked."""
    plan = config.stash.get(PLAN, None)
    if plan is None:
        return []
    from tokgate.suite.preview import make_title
    from tokgate.suite.steadiness import count_family, summarize_steadiness

    lines = [make_title(plan)]
    if plan.unable is None:
        lines.append(summarize_steadiness(config.stash[OPTIONS].out, family=count_family(plan)))
    lines += [f"NOT CHECKED: {what}" for what in plan.not_checked]
    return [f"tokgate: {escape_line(line)}" for line in lines]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order the suite: server by server, launch by launch, then the verdicts; skip what cannot run."""
    plan = config.stash.get(PLAN, None)
    if plan is None:
        return
    options, budget = config.stash[OPTIONS], None
    if plan.opponent is not None:  # its verdicts measure launch pairs, not launches
        items[:] = [item for item in items if "server" not in get_params(item)]
    elif options.plan or (plan.budget_s is not None and plan.unable is None):
        with usage_errors():
            budget = _make_budget(config, items, plan)
    from tokgate.plugin.planning import sort_key

    items.sort(key=lambda item: sort_key(item, plan, budget))
    if plan.unable is not None and not options.require:
        for item in items:
            item.add_marker(pytest.mark.skip(f"not checked: {plan.unable}"))


def _make_budget(config: pytest.Config, items: list[pytest.Item], plan: RunPlan) -> Budget | None:
    """Plan the selected tests and keep the text of the plan; deselect launches that the budget has no time for."""
    from tokgate.plugin.planning import plan_items

    width, color = find_style(config)
    budget, config.stash[_OUTLOOK], config.stash[_PREVIEW] = plan_items(config, items, plan, width=width, color=color)
    if budget is not None:
        config.stash[_BUDGET] = budget
    return budget


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    """Show the plan of a run with --tokgate-plan or a budget."""
    text = config.stash.get(_PREVIEW, None)
    return [] if text is None else ["", *text.splitlines()]


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Run nothing with --tokgate-plan: the plan has been printed."""
    return True if PLAN in session.config.stash and session.config.stash[OPTIONS].plan else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """Before a server starts: fail what is required and cannot run, skip what the budget leaves out."""
    plan = item.config.stash.get(PLAN, None)
    if plan is None:
        return (yield)
    if plan.unable is not None and item.config.stash[OPTIONS].require:
        pytest.fail(f"not checked: {plan.unable}", pytrace=False)
    if (session := item.config.stash.get(_SESSION, None)) is not None:
        _skip_what_is_left_out(item, session)
    with convert_errors(item):
        return (yield)


def _skip_what_is_left_out(item: pytest.Item, session: Session) -> None:
    params = get_params(item)
    if "server" in params:
        from tokgate.judge.cell import CaseKey

        name, launch = params["server"]
        if (why := session.why_not(CaseKey(name, params["workload"]), launch)) is not None:
            pytest.skip(why)
    if "answering" in params and (why := session.why_no_answers(params["answering"])) is not None:
        mark_explained(item)
        pytest.skip(why)


@pytest.fixture(scope="session")
def tokgate(request: pytest.FixtureRequest) -> Session:
    """The run: its record, its one live server and its verdicts. It holds the lease of this machine.

    It lasts until pytest ends: this fixture is set up again when a plugin runs the last test again.
    """
    from tokgate.plugin.opening import open_session

    stash = request.config.stash
    try:
        if _SESSION not in stash:
            with ExitStack() as stack:
                budget, outlook = stash.get(_BUDGET, None), stash.get(_OUTLOOK, None)
                stash[_SESSION] = open_session(request.session, stack, budget, outlook)
                stash[_RUNNING] = stack.pop_all()
    except RecordError as error:
        pytest.exit(str(error), returncode=EXIT_BROKEN)
    except TokgateError as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)
    return stash[_SESSION]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Decide what errors of tokgate do to the test."""
    if PLAN not in item.config.stash:
        return (yield)
    with convert_errors(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Report errors of tokgate as messages, and nothing that a terminal would obey."""
    report = yield
    if PLAN in item.config.stash:
        note_end(item, call, report)
        clean_report(item, call, report)
    return report


def pytest_report_teststatus(report: pytest.TestReport, config: pytest.Config) -> tuple[str, str, str] | None:
    """Print no dot for a test that passed and has printed a line."""
    if PLAN not in config.stash or report.when != "call" or not has_spoken(config) or not report.passed:
        return None
    return "passed", "", "PASSED"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> Iterator[None]:
    """Close the record and set the exit code.

    On a full disk the other plugins that write here (JUnit XML, pytest-benchmark) fail too: the run is broken.
    """
    is_suite = PLAN in session.config.stash and not is_dry_run(session.config)
    if is_suite:
        session.config.stash.get(_RUNNING, ExitStack()).close()
        end_run(session, exitstatus)
    try:
        yield
    except OSError as error:
        if not is_suite:
            raise
        mark_broken(session, f"a file next to the record cannot be written: {error}. Next: free some disk space")


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_benchmark_generate_json(benchmarks: list[Any]) -> None:
    """Leave out interrupted benchmarks without a time: pytest-benchmark fails on the minimum of an empty list."""
    benchmarks[:] = [benchmark for benchmark in benchmarks if benchmark.stats.data]


def pytest_unconfigure(config: pytest.Config) -> None:
    """Write the report after all other plugins have written their files."""
    if FOLDER in config.stash and config.stash[OPTIONS].report is not None:
        publish_report(config)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Show the verdict table, what a stored baseline detects here, and the path of the record."""
    writer = config.stash.get(WRITER, None)
    if writer is None:
        return
    from tokgate.report.boxes import format_summaries
    from tokgate.report.terminal import describe_counts
    from tokgate.store.runs import list_runs

    terminal, (width, color) = terminalreporter, find_style(config)
    terminal.section("tokgate")
    terminal.write_line(format_summaries(writer.record, width=width, color=color))
    if (plan := config.stash.get(PLAN, None)) is not None and writer.record.measurements:
        from tokgate.suite.steadiness import count_family, summarize_steadiness

        # With this run, which may be the first.
        line = summarize_steadiness(config.stash[OPTIONS].out, family=count_family(plan))
        terminal.write_line(escape_line(line))
    terminal.write_line("")
    verdicts = tuple(verdict for record in list_runs(writer.record) for verdict in record.verdicts)
    terminal.write_line(escape_line(f"{describe_counts(verdicts)}. Record: {writer.folder / 'run.json'}"))
