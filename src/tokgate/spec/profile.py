"""Profile: which servers x workloads a run covers, as declared in `fixtures/profiles/NAME.yaml`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from tokgate.spec.base import Spec


class Cells(Spec, frozen=True, kw_only=True):
    """Each of these servers under each of these workloads."""

    servers: tuple[str, ...]
    workloads: tuple[str, ...]


class Profile(Spec, frozen=True, kw_only=True):
    """A list of servers x workloads, and the hypotheses tested on the same machine.

    hardware: the chip its baselines belong to; None for whatever machine it runs on.
    launches: replicates of each server when no budget says otherwise.
    """

    name: str = ""
    description: str
    hardware: str | None = None
    launches: Annotated[int, Meta(ge=1)] = 5
    cells: tuple[Cells, ...] = ()
    hypotheses: tuple[str, ...] = ()
