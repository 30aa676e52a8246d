"""The end of a run: what it did not decide, its exit code, and the end of its record."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tokgate._exceptions import RecordError
from tokgate.plugin.missing import find_missing
from tokgate.plugin.options import OPTIONS
from tokgate.plugin.run import EXIT_BROKEN, PLAN, WRITER, open_record
from tokgate.plugin.screen import say

if TYPE_CHECKING:
    from tokgate.judge.coverage import Missing
    from tokgate.store.runs import RunRecord


def end_run(session: pytest.Session, exitstatus: int) -> None:
    """Close the record, with the planned verdicts that are missing, and set the exit code."""
    config = session.config
    ended = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)  # else it was interrupted
    missing = find_missing(session, exitstatus)
    try:
        if ended and missing and WRITER not in config.stash:  # not one test began
            open_record(config)
        writer = config.stash.get(WRITER, None)
        if writer is not None and exitstatus != EXIT_BROKEN:  # then it could not be written
            writer.set_missing(missing)
            _add_to_junit(config, writer.record.not_checked)
        if ended:
            session.exitstatus = _choose_exit_code(config, writer.record if writer else None, exitstatus)
            _fail_missing(session, missing)
            if writer is not None:
                writer.end()
    except RecordError as error:
        mark_broken(session, str(error))


def mark_broken(session: pytest.Session, why: str) -> None:
    """Report why the run is broken; the exit code of a regression is kept."""
    say(session.config, why)
    if session.exitstatus != pytest.ExitCode.TESTS_FAILED:
        session.exitstatus = EXIT_BROKEN


def _choose_exit_code(config: pytest.Config, record: RunRecord | None, exitstatus: int) -> int:
    """The record decides, not the tests: another plugin may have skipped the test of a verdict that was given."""
    from tokgate.judge.policy import Consequence, classify, is_finding

    verdicts = () if record is None else record.verdicts
    hypotheses = [experiment.hypothesis for experiment in config.stash[PLAN].experiments]
    if any(is_finding(verdict, hypotheses, strict=config.stash[OPTIONS].strict) for verdict in verdicts):
        return pytest.ExitCode.TESTS_FAILED
    broken = any(classify(verdict) is Consequence.BROKEN for verdict in verdicts)
    if broken or exitstatus == pytest.ExitCode.TESTS_FAILED:
        return EXIT_BROKEN
    if record is None or not (record.measurements or verdicts):
        return pytest.ExitCode.NO_TESTS_COLLECTED
    return pytest.ExitCode.OK


def _fail_missing(session: pytest.Session, missing: tuple[Missing, ...]) -> None:
    """A verdict that something prevented breaks the run; one that the user left out, only with --tokgate-require."""
    from tokgate.config.words import format_count

    plan, require = session.config.stash[PLAN], session.config.stash[OPTIONS].require
    failing = sum(require or not each.deselected for each in missing)
    if failing:
        planned = format_count(len(plan.planned), "planned verdict")
        demand = ", which --tokgate-require demands" if require else ""
        mark_broken(session, f"{failing} of {planned} missing{demand}; `not checked` gives the reasons")


def _add_to_junit(config: pytest.Config, not_checked: tuple[str, ...]) -> None:
    """Properties of the test suite in JUnit XML: a test that was not selected has no place there."""
    from _pytest.junitxml import xml_key

    if (xml := config.stash.get(xml_key, None)) is not None:
        for line in not_checked:
            xml.add_global_property("not_checked", line)
