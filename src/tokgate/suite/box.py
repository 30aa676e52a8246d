"""This box is ours: while a command measures, nobody else does, and nothing of a killed run is left running."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tokgate._secrets import redact_command
from tokgate.launch.docker.sweep import sweep
from tokgate.machine.lease import hold_lease
from tokgate.machine.leftovers import end_servers
from tokgate.store.runs import RunWriter
from tokgate.suite.plan import RunPlan
from tokgate.suite.record import open_run


@contextmanager
def own_box(command: Sequence[str], *, wait: bool, say: Callable[[str], None]) -> Iterator[None]:
    """Hold this machine's lease, and end the servers of runs that were killed: the guardian may have been, too.

    command: what holds it, for others who wait.
    wait: whether to wait for the present holder.
    say: called with messages for the user: who is waited for, what was ended, what was left alone and why.
    Raises LeaseHeld, UsageError.
    """
    with hold_lease(wait=wait, describe=" ".join(redact_command(command)), on_wait=say):
        for leftovers in (end_servers(), sweep()):
            for what in leftovers.ended:
                say(f"removed what a killed run left: {what}")
            for what in leftovers.left:
                say(f"left alone: {what}")
        yield


@contextmanager
def own_run(
    plan: RunPlan,
    make_folder: Callable[[], Path],
    *,
    command: Sequence[str],
    wait: bool,
    say: Callable[[str], None],
) -> Iterator[RunWriter]:
    """Hold this machine as `own_box` does, with the first record of a run.

    make_folder: called when the machine is ours; gives the run's folder.
    Raises LeaseHeld, UsageError, RecordError.
    """
    with own_box(command, wait=wait, say=say):
        yield open_run(plan, make_folder(), command=command)
