"""One run of the suite: what it keeps in pytest's stash, how it begins, and its report."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tokgate._exceptions import RecordError, TokgateError
from tokgate._printable import escape_text
from tokgate._secrets import redact_command
from tokgate.machine.signals import handle_ends
from tokgate.plugin.options import OPTIONS

if TYPE_CHECKING:
    from tokgate.store.runs import RunWriter
    from tokgate.suite.plan import RunPlan

EXIT_BROKEN = 6
"""Tests failed, but not for speed: invalid measurements, servers that do not start. pytest itself uses 0 to 5."""

PLAN: pytest.StashKey[RunPlan] = pytest.StashKey()
FOLDER: pytest.StashKey[Path] = pytest.StashKey()
WRITER: pytest.StashKey[RunWriter] = pytest.StashKey()
COMMAND: pytest.StashKey[tuple[str, ...]] = pytest.StashKey()


def plan_suite(config: pytest.Config) -> RunPlan:
    """What the options select to run on this machine. Raises SpecError, UsageError."""
    from tokgate.engines.specs import open_catalogue
    from tokgate.suite.plan import AttachTarget, plan_run

    options = config.stash[OPTIONS]
    attach = None
    if options.url is not None and options.model is not None:
        attach = AttachTarget(url=options.url, model=options.model)
    catalogue = open_catalogue(config.rootpath / "fixtures")
    plan = plan_run(
        catalogue,
        profile=options.profile,
        servers=options.servers,
        attach=attach,
        launches=options.launches,
        budget=options.budget,
    )
    if options.against is None or plan.unable is not None:
        return plan
    from tokgate.suite.opponent import set_opponent

    return set_opponent(plan, options.against, catalogue, options.out)


def is_dry_run(config: pytest.Config) -> bool:
    """Whether this session only shows what it would do (--collect-only, --tokgate-plan)."""
    return bool(config.option.collectonly or config.stash[OPTIONS].plan)


def prepare_run(config: pytest.Config, *, name: str | None = None) -> None:
    """Create the folder of the run and install a signal handler; name: of the folder, None for a new one.

    Raises RecordError.
    """
    from tokgate.store.runs import new_run_folder

    option = config.option
    config.stash[FOLDER] = folder = new_run_folder(config.stash[OPTIONS].out, name)
    config.stash.setdefault(COMMAND, redact_command(("pytest", *map(str, config.invocation_params.args))))
    if hasattr(option, "xmlpath"):  # not with -p no:junitxml
        option.xmlpath = option.xmlpath or str(folder / "junit.xml")
    if getattr(option, "timeout", 0) is None:
        option.timeout = 0  # pytest-timeout's limit would end a large model while it loads
    handle_ends()  # CI runners cancel a job with SIGTERM


def open_record(config: pytest.Config) -> RunWriter:
    """Open the record of a run that no test has begun. Raises RecordError."""
    from tokgate.suite.record import open_run

    stash = config.stash
    command = stash[COMMAND]
    stash[WRITER] = open_run(stash[PLAN], stash[FOLDER], command=command)
    return stash[WRITER]


def publish_report(config: pytest.Config) -> None:
    """Write the report for --tokgate-report, also after a run that was cut off or measured nothing."""
    from tokgate.report.write import publish

    folder, link = config.stash[FOLDER], config.stash[OPTIONS].report
    assert link is not None
    try:
        if WRITER not in config.stash:
            open_record(config).end()
        headline = publish(folder, link)
    except RecordError as error:
        print(f"tokgate: no report: {error}", file=sys.stderr)
    else:
        print(escape_text(f"tokgate: {headline.state}: {headline.title} Report: {link}/report.html"))


@contextmanager
def usage_errors() -> Iterator[None]:
    """Turn errors of tokgate into pytest's UsageError: one message, exit code 4."""
    try:
        yield
    except TokgateError as error:
        raise pytest.UsageError(str(error)) from error
