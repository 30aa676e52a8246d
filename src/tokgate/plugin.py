"""The pytest plugin: options, hooks and the session fixture. How anything is done is below.

Everything heavy is imported when the suite runs, so that projects that only have tokgate installed
pay nothing for it.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tokgate._exceptions import RecordError, TokgateError

if TYPE_CHECKING:
    from tokgate.judge.verdict import Verdict
    from tokgate.store.runs import RunWriter
    from tokgate.suite.cell import Watch
    from tokgate.suite.plan import Plan
    from tokgate.suite.session import Session

EXIT_BROKEN = 6
"""Tests failed, but none for speed: invalid measurements, servers that do not start."""

PLAN: pytest.StashKey[Plan] = pytest.StashKey()
_FOLDER: pytest.StashKey[Path] = pytest.StashKey()
_WRITER: pytest.StashKey[RunWriter] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """All of tokgate's options, in one group of `pytest --help`."""
    group = parser.getgroup("tokgate", "tokgate: speed of LLM servers (-m perf)")
    option = group.addoption
    option(
        "--tokgate-profile",
        default="auto",
        metavar="auto|NAME|PATH",
        help="servers × workloads to run: a profile of fixtures/profiles, a YAML file, or auto: gfx1151 when "
        "the KFD topology shows 110501 and Docker answers, else embedded (default: auto)",
    )
    option(
        "--tokgate-server",
        action="append",
        default=[],
        metavar="NAME",
        help="only this server of the profile; may be given again",
    )
    option(
        "--tokgate-url",
        metavar="URL",
        help="measure the server that is already up there, under the profile's workloads; with --tokgate-model",
    )
    option("--tokgate-model", metavar="ID", help="the model to ask the server at --tokgate-url for")
    option(
        "--tokgate-launches",
        type=_launches,
        metavar="N",
        help="launches (replicates) of each server; below 2 nothing can be decided (default: the profile's)",
    )
    option(
        "--tokgate-blocks",
        type=_launches,
        default=2,
        metavar="N",
        help="blocks A B B A of each hypothesis, four launches a block (default: 2)",
    )
    option(
        "--tokgate-require",
        action="store_true",
        help="what could not be checked fails instead of being skipped",
    )
    option(
        "--tokgate-out",
        default="runs",
        metavar="DIR",
        help="where run records go, a folder each (default: runs)",
    )
    option(
        "--tokgate-report",
        metavar="LINK",
        help="however the run ends, write report.html and report.md into its folder, and make LINK point there",
    )
    option(
        "--tokgate-no-wait",
        action="store_true",
        help="fail at once when another run measures on this machine, instead of waiting for it",
    )


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
        config.stash[PLAN] = _plan(config)
    if not config.option.collectonly:
        _prepare(config)


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
    chosen = f"tokgate: profile {plan.profile.name} ({plan.why}), {plan.launches} launches of each server"
    return [chosen, *(f"tokgate: NOT CHECKED: {what}" for what in plan.not_checked)]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order the suite: server by server, launch by launch, then the verdicts; skip what cannot run."""
    plan = config.stash.get(PLAN, None)
    if plan is None:
        return
    items.sort(key=lambda item: _order(item, plan))
    if plan.unable is not None and not config.option.tokgate_require:
        for item in items:
            item.add_marker(pytest.mark.skip(f"not checked: {plan.unable}"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """--tokgate-require: what cannot be checked fails, with the same reason, before a server is tried."""
    plan = item.config.stash.get(PLAN, None)
    if plan is not None and plan.unable is not None and item.config.option.tokgate_require:
        pytest.fail(f"not checked: {plan.unable}", pytrace=False)


def _order(item: pytest.Item, plan: Plan) -> tuple[int, ...]:
    """Measuring tests first, by server, launch and workload; all else keeps its place after them."""
    params: dict[str, Any] = item.callspec.params if hasattr(item, "callspec") else {}
    if "server" in params:
        name, launch = params["server"]
        workloads = [cell.workload.name for cell in plan.cells_of(name)]
        return 0, plan.servers.index(name), launch, workloads.index(params["workload"])
    return (1,)


@pytest.fixture(scope="session")
def tokgate(request: pytest.FixtureRequest) -> Iterator[Session]:
    """The run: its record, its one live server, its verdicts. Holds this machine's lease."""
    from tokgate.launch.sweep import sweep
    from tokgate.machine.lease import lease
    from tokgate.suite.record import open_run
    from tokgate.suite.session import Session

    config = request.config
    command = _command(config)
    try:
        with lease(
            wait=not config.option.tokgate_no_wait,
            describe=" ".join(command),
            on_wait=lambda text: _say(config, text),
        ):
            for removed in sweep():
                _say(config, f"removed what a killed run left: {removed}")
            config.stash[_WRITER] = writer = open_run(
                config.stash[PLAN], config.stash[_FOLDER], command=command
            )
            with Session(
                config.stash[PLAN],
                writer,
                config.rootpath / "baselines" / writer.record.baselines,
                around=lambda title: _shown(config, title),
            ) as session:
                yield session
    except TokgateError as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """A record that cannot be written ends the run: whatever it measured from here on would be lost."""
    try:
        yield
    except RecordError as error:
        pytest.exit(str(error), returncode=EXIT_BROKEN)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Close the record, and let the exit code tell a regression from a broken run from nothing measured."""
    config = session.config
    if PLAN not in config.stash or config.option.collectonly:
        return
    writer = config.stash.get(_WRITER, None)
    if writer is None or not (writer.record.measurements or writer.record.verdicts):
        if exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED
        return
    plan = config.stash[PLAN]
    if exitstatus == pytest.ExitCode.TESTS_FAILED and not any(
        _found_wrong(verdict, plan) for verdict in writer.record.verdicts
    ):
        session.exitstatus = EXIT_BROKEN
    if exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):  # else it was cut off
        try:
            writer.end()
        except RecordError as error:
            _say(config, str(error))
            session.exitstatus = EXIT_BROKEN


def _found_wrong(verdict: Verdict, plan: Plan) -> bool:
    """Whether a verdict is a finding: slower than its baseline, or against what is recorded of a hypothesis."""
    from tokgate.judge.hypothesis import contradicts

    tested = [one.hypothesis for one in plan.experiments if one.hypothesis.name == verdict.hypothesis]
    return verdict.outcome == "regressed" or any(contradicts(one, verdict) for one in tested)


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


def _plan(config: pytest.Config) -> Plan:
    from tokgate.spec.catalogue import Catalogue
    from tokgate.suite.plan import Target, plan_run

    option = config.option
    if bool(option.tokgate_url) != bool(option.tokgate_model):
        raise pytest.UsageError("--tokgate-url and --tokgate-model go together: where, and which model")
    if not (config.rootpath / "fixtures").is_dir():
        # pytest looks for its root before it knows our options: `--tokgate-out DIR` is then two words to it.
        raise pytest.UsageError(
            f"{config.rootpath} has no fixtures/, and pytest takes it for the project's folder. Run this where "
            "conftest.py is; write --tokgate-out=DIR with an equals sign, or pytest takes DIR for a folder of tests"
        )
    return plan_run(
        Catalogue(config.rootpath / "fixtures"),
        profile=option.tokgate_profile,
        servers=option.tokgate_server,
        attach=Target(url=option.tokgate_url, model=option.tokgate_model) if option.tokgate_url else None,
        launches=option.tokgate_launches,
    )


@contextmanager
def _usage_errors() -> Iterator[None]:
    """What a person asked for and cannot have, as pytest says it: one message, exit code 4."""
    try:
        yield
    except TokgateError as error:
        raise pytest.UsageError(str(error)) from error


def _command(config: pytest.Config) -> tuple[str, ...]:
    return ("pytest", *map(str, config.invocation_params.args))


def _say(config: pytest.Config, text: str) -> None:
    """One line on the real terminal, past pytest's capture."""
    with _uncaptured(config):
        print(f"\ntokgate: {text}", file=sys.stderr, flush=True)


@contextmanager
def _shown(config: pytest.Config, title: str) -> Iterator[Watch]:
    """The progress line of what runs now."""
    from rich.console import Console

    from tokgate.report.progress import live

    with _uncaptured(config), live(title, Console(stderr=True)) as watch:
        yield watch


def _uncaptured(config: pytest.Config) -> AbstractContextManager[None]:
    manager: Any = config.pluginmanager.getplugin("capturemanager")
    disabled: AbstractContextManager[None] = manager.global_and_fixture_disabled()
    return disabled


def _launches(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise pytest.UsageError(f"{text}: expected a whole number of launches or blocks, 1 or more")
    return int(text)
