"""QuietLimits: how much other programs may take of a machine that is measured, as a profile states it."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from tokgate.config.base import Spec

OTHERS_SHARE, OTHERS_CORES = 0.05, 0.5
"""The default of `others_cores`: this share of the machine's CPUs, at most this number of CPUs. An engine's threads wait
for each other, so one that is preempted stops all: one busy core of two slowed a server from 119 to 0.58 tok/s. 5 % is
the drop that a gate must detect by default; an idle machine used 0.01 CPUs. On a machine with many CPUs, half a CPU
still takes memory bandwidth that an APU needs."""

STEAL = 0.015
"""Half of the default tolerance of decode_tps. A virtual machine with all cores busy had 0.1 %."""

SWAPPED_MIB = 16.0
"""Some pages of other processes may move; moving those of the model stalls it."""


class QuietLimits(Spec, frozen=True, kw_only=True):
    """What other programs may take during the timed requests; a measurement with more is invalid.

    others_cores: CPUs that processes other than the server and tokgate may use; by default 5 % of the machine's CPUs, at
        most 0.5.
    steal: share of the machine's CPU time that the hypervisor may give to other machines.
    swapped_MiB: MiB that may move to or from swap.
    """

    others_cores: Annotated[float, Meta(ge=0)] | None = None
    steal: Annotated[float, Meta(ge=0, le=1)] = STEAL
    swapped_MiB: Annotated[float, Meta(ge=0)] = SWAPPED_MIB

    def find_others_cores(self, cpus: int) -> float:
        """The limit of `others_cores` on a machine with this number of CPUs."""
        return min(OTHERS_CORES, OTHERS_SHARE * cpus) if self.others_cores is None else self.others_cores

    def describe_own(self) -> str:
        """`quiet limits: others_cores 0.5`: those that differ from the default; empty if none does."""
        default = QuietLimits()
        own = [
            f"{key} {value:g}"
            for key in self.__struct_fields__
            if (value := getattr(self, key)) != getattr(default, key)
        ]
        return f"quiet limits: {', '.join(own)}" if own else ""

    def describe_relaxed(self, cpus: int) -> str:
        """`quiet limits relaxed: others_cores 0.5 (default 0.1)`; empty where no limit is looser than the default.

        cpus: number of CPUs of the machine.
        """
        default = QuietLimits()
        rows = (
            ("others_cores", self.find_others_cores(cpus), default.find_others_cores(cpus)),
            ("steal", self.steal, default.steal),
            ("swapped_MiB", self.swapped_MiB, default.swapped_MiB),
        )
        looser = [f"{key} {value:g} (default {usual:g})" for key, value, usual in rows if value > usual]
        return f"quiet limits relaxed: {', '.join(looser)}" if looser else ""
