"""Profile: which servers x workloads a run covers, as declared in `fixtures/profiles/NAME.yaml`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from tokgate.config.base import Spec
from tokgate.config.quiet import QuietLimits
from tokgate.config.units import Duration

HypothesisOutcome = Literal["confirmed", "refuted", "inconclusive", "invalid", "arm_failed"]
"""The outcomes of a hypothesis."""


class Cells(Spec, frozen=True, kw_only=True):
    """Each of these servers under each of these workloads.

    servers: names in fixtures/servers.
    workloads: names in fixtures/workloads.
    """

    servers: tuple[str, ...]
    workloads: tuple[str, ...]


class Conclusion(Spec, frozen=True, kw_only=True):
    """What follows when several hypotheses have these outcomes in one run.

    when: outcome by hypothesis name; all must match.
    then: the sentence that the run's tables and report print.
    """

    when: Annotated[dict[str, HypothesisOutcome], Meta(min_length=1)]
    then: str


class Profile(Spec, frozen=True, kw_only=True):
    """A list of servers × workloads, and the hypotheses tested on the same machine.

    name: set by the loader, from the file's name.
    description: one line for lists and reports.
    hardware: the chip its baselines belong to; without it, whatever machine it runs on.
    launches: launches of each server when there is no budget.
    budget: time that a run may take, unless an option says otherwise; without it, every launch is measured.
    night: time that a nightly run may take (`--tokgate-budget night`); without it, `budget`.
    shelf_life: how long the result of a hypothesis is known, if nothing that it depends on changes; then it is tested
        again.
    cells: which servers are measured under which workloads.
    hypotheses: names in fixtures/hypotheses.
    conclusions: what follows from its hypotheses together.
    quiet: how much other programs may use of the machine; looser limits make fewer measurements invalid, and launches
        scatter more.
    """

    name: str = ""
    description: str
    hardware: str | None = None
    launches: Annotated[int, Meta(ge=1)] = 5
    budget: Duration | None = None
    night: Duration | None = None
    shelf_life: Duration = Duration(30 * 86400)
    cells: tuple[Cells, ...] = ()
    hypotheses: tuple[str, ...] = ()
    conclusions: tuple[Conclusion, ...] = ()
    quiet: QuietLimits = QuietLimits()
