"""The verdicts that a session did not give: its plan compared with its record at the end.

Whatever prevents a verdict (an option, another plugin, an exception, a time limit) omits the test of that verdict or ends
it, so it is enough to note how each test ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest

from tokgate.plugin.items import get_params
from tokgate.plugin.options import OPTIONS
from tokgate.plugin.run import PLAN, WRITER

if TYPE_CHECKING:
    from tokgate.judge.coverage import Missing

_END: pytest.StashKey[str] = pytest.StashKey()
"""Of a test: how it ended, so that it gave no verdict."""

_EXPLAINED: pytest.StashKey[bool] = pytest.StashKey()
"""Of a test: the run itself says why there is no verdict: the budget had no time, or it cannot be checked here."""

_SHOWN = 200  # characters of an exception: enough for its first sentence


def note_end(item: pytest.Item, call: pytest.CallInfo[Any], report: pytest.TestReport) -> None:
    """Note how a phase of a test ended, if no other will follow it; the first of several runs of a test counts."""
    if report.passed and report.when != "call":
        return
    item.stash.setdefault(_END, _describe(call.excinfo))


def mark_explained(item: pytest.Item) -> None:
    """Note that the run itself says why this test gives no verdict."""
    item.stash[_EXPLAINED] = True


def find_missing(session: pytest.Session, exitstatus: int) -> tuple[Missing, ...]:
    """The planned verdicts that the record does not have and that the run has not explained, each with the reason."""
    from tokgate.judge.coverage import Missing, name_verdict

    config = session.config
    plan, writer = config.stash[PLAN], config.stash.get(WRITER, None)
    if plan.unable is not None:  # the plan gives the reason for all of them
        return ()
    names = {name_verdict(verdict) for verdict in writer.record.verdicts} if writer is not None else set()
    tests: dict[str, list[pytest.Item]] = {}
    for item in session.items:
        if (name := _name_test(item)) is not None:
            tests.setdefault(name, []).append(item)
    not_selected, not_run = f"not selected{_list_selecting_options(config)}", _explain_stop(session, exitstatus)
    return tuple(
        Missing(
            name=planned.name,
            server=planned.server,
            why=_explain(tests[planned.name], not_run) if planned.name in tests else not_selected,
            deselected=planned.name not in tests,
        )
        for planned in plan.planned
        if planned.name not in names
        and not any(item.stash.get(_EXPLAINED, False) for item in tests.get(planned.name, ()))
    )


def _name_test(item: pytest.Item) -> str | None:
    """The name of the planned verdict that this test gives; None if it gives none."""
    from tokgate.judge.coverage import plan_answers, plan_cell, plan_hypothesis

    params = get_params(item)
    if "judged" in params:
        return plan_cell(params["judged"]).name
    if "answering" in params:
        return plan_answers(params["answering"]).name
    if "experiment" in params:
        return plan_hypothesis(params["experiment"].hypothesis.name).name
    return None


def _describe(error: pytest.ExceptionInfo[BaseException] | None) -> str:
    if error is None:
        return "its test ended without one"
    first, *_ = error.exconly(tryshort=True).splitlines() or [error.typename]
    return f"its test ended with {first[:_SHOWN]}"


def _explain(items: Sequence[pytest.Item], not_run: str) -> str:
    return next((item.stash[_END] for item in items if _END in item.stash), not_run)


def _explain_stop(session: pytest.Session, exitstatus: int) -> str:
    """Why a selected test did not run."""
    if stop := session.shouldfail or session.shouldstop:
        return f"the run stopped before it ({stop})"
    if exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        return "its test did not run"
    return "the run was interrupted before it"


def _list_selecting_options(config: pytest.Config) -> str:
    """The options of this session that select tests, in brackets; empty if it has none."""
    option = config.option
    words = [f"--tokgate-server {name}" for name in config.stash[OPTIONS].servers]
    words += [f"-m {option.markexpr!r}"] if option.markexpr.strip() != "perf" else []
    words += [f"-k {option.keyword!r}"] if option.keyword else []
    words += [f"--deselect {prefix}" for prefix in option.deselect or ()]
    words += [f"--ignore {path}" for path in (*(option.ignore or ()), *(option.ignore_glob or ()))]
    words += [f"--{name}" for name in ("lf", "stepwise") if getattr(option, name, False)]
    words += config.args if config.args_source is pytest.Config.ArgsSource.ARGS else []
    return f" ({', '.join(words)})" if words else ""
