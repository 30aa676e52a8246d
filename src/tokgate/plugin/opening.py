"""The begin of a run: the lease of this machine, the record, and what is known before anything is measured."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from msgspec.structs import replace

from tokgate.plugin.options import OPTIONS
from tokgate.plugin.planning import estimate_time_left, find_outlook, read_selection
from tokgate.plugin.run import COMMAND, FOLDER, PLAN, WRITER
from tokgate.plugin.screen import make_observer, say
from tokgate.suite.box import own_run
from tokgate.suite.budget import Budget
from tokgate.suite.outlook import Outlook
from tokgate.suite.session import Session
from tokgate.suite.verdicts import Verdicts


def open_session(session: pytest.Session, stack: ExitStack, budget: Budget | None, planned: Outlook | None) -> Session:
    """Begin the run of the selected tests; closing `stack` ends its live server and gives the machine back.

    budget: made when the tests were collected; planned: what was known then.
    Raises LeaseHeld, UsageError, RecordError, SpecError.
    """
    config = session.config
    plan, command = config.stash[PLAN], config.stash[COMMAND]
    config.stash[WRITER] = writer = stack.enter_context(
        own_run(
            plan,
            lambda: config.stash[FOLDER],
            command=command,
            wait=config.stash[OPTIONS].wait,
            say=lambda text: say(config, text),
        )
    )
    selected = read_selection(session.items)
    outlook = find_outlook(config, plan, writer.record, selected)
    if planned is not None:  # the budget has no time for what was known then
        outlook = replace(outlook, standing=planned.standing)
    time_left = estimate_time_left(config, plan, selected, budget, outlook)
    return stack.enter_context(
        Session(
            plan,
            writer,
            Verdicts(plan, selected.family, outlook.references),
            budget,
            outlook,
            observer=make_observer(config, time_left),
        )
    )
