"""Profile: which servers x workloads a run covers, as declared in `fixtures/profiles/NAME.yaml`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from tokgate.config.base import Spec

Found = Literal["confirmed", "refuted", "inconclusive", "invalid", "arm_failed"]
"""How a hypothesis comes out."""


class Cells(Spec, frozen=True, kw_only=True):
    """Each of these servers under each of these workloads."""

    servers: tuple[str, ...]
    workloads: tuple[str, ...]


class Conclusion(Spec, frozen=True, kw_only=True):
    """What follows (then, a sentence) when these hypotheses have come out so in one run (when, by name)."""

    when: Annotated[dict[str, Found], Meta(min_length=1)]
    then: str


class Profile(Spec, frozen=True, kw_only=True):
    """A list of servers x workloads, and the hypotheses tested on the same machine.

    hardware: the chip its baselines belong to; None for whatever machine it runs on.
    conclusions: what follows from its hypotheses together.
    launches: replicates of each server when no budget says otherwise.
    """

    name: str = ""
    description: str
    hardware: str | None = None
    launches: Annotated[int, Meta(ge=1)] = 5
    cells: tuple[Cells, ...] = ()
    hypotheses: tuple[str, ...] = ()
    conclusions: tuple[Conclusion, ...] = ()
