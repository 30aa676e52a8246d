"""What a test of the suite reports: errors of tokgate as one message without a traceback, each in full only once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tokgate._exceptions import LaunchError, NotChecked, NotTonight, RecordError, TokgateError
from tokgate._printable import escape_text
from tokgate.plugin.missing import mark_explained
from tokgate.plugin.options import OPTIONS
from tokgate.plugin.run import EXIT_BROKEN

_SHORT = 100  # characters of a message that is repeated in full

_REPORTED: pytest.StashKey[dict[str, str]] = pytest.StashKey()
"""By message, the test that failed with it first."""


@contextmanager
def convert_errors(item: pytest.Item) -> Iterator[None]:
    """Decide what errors of tokgate do to a test that raises them.

    What could not be checked is skipped, or fails with --tokgate-require; what only is left for later is skipped. A server
    that does not start fails the first test that needs it; the others are skipped, too, unless --tokgate-require is given. A
    record that cannot be written ends the run, because all further measurements would be lost.
    """
    require = item.config.stash[OPTIONS].require
    try:
        yield
    except NotTonight as turn:
        mark_explained(item)
        pytest.skip(str(turn))
    except NotChecked as gap:
        mark_explained(item)
        if require:
            pytest.fail(f"not checked: {gap}", pytrace=False)
        pytest.skip(f"not checked: {gap}")
    except LaunchError as error:
        if not require and str(error) in item.config.stash.get(_REPORTED, {}):
            pytest.skip(f"not checked: {error}")
        raise
    except RecordError as error:
        pytest.exit(str(error), returncode=EXIT_BROKEN)


def clean_report(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
    """Replace the traceback of an error of tokgate by its message, and make all texts safe to print."""
    error = None if call.excinfo is None else call.excinfo.value
    if report.failed and (isinstance(error, TokgateError) or not getattr(error, "pytrace", True)):
        report.longrepr = _shorten_repeated(item, escape_text(str(error)))
    elif isinstance(report.longrepr, tuple):
        path, line, reason = report.longrepr
        report.longrepr = (path, line, escape_text(reason))
    elif report.longrepr is not None and (text := escape_text(report.longreprtext)) != report.longreprtext:
        report.longrepr = text
    report.sections = [(title, escape_text(content)) for title, content in report.sections]
    report.user_properties = [(key, escape_text(str(value))) for key, value in report.user_properties]


def _shorten_repeated(item: pytest.Item, message: str) -> str:
    """The message, or its beginning if another test has failed with it."""
    first = item.config.stash.setdefault(_REPORTED, {}).setdefault(message, item.name)
    if first == item.name or (len(message) <= _SHORT and "\n" not in message):
        return message
    return f"{message.splitlines()[0][:_SHORT]}… (as {first})"
