"""Against: the servers of a run compared with the run's opponent, launch pair by launch pair, until every cell is decided."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from tokgate._exceptions import NotChecked
from tokgate.judge.blocks import OutOfTime, Unmeasured, draw_orders
from tokgate.judge.cell import Cell, CellKey, Reference
from tokgate.judge.looks import Looks
from tokgate.judge.verdict import Verdict
from tokgate.suite.comparison import ArmNotTried, Comparison, Launches
from tokgate.suite.live import Live
from tokgate.suite.manipulation import differences
from tokgate.suite.plan import Case, RunPlan

MOST_PAIRS = 10
"""Launch pairs of a server: at 2 % scatter they detect a drop of 5 % in 98 of 100 runs, 8 would in 93
(docs/error-rates.md). One more may confirm a regression."""

CANDIDATE, OPPONENT = "candidate", "reference"
"""Names of the arms."""


class Against:
    """The verdicts of a run whose servers are compared with another server.

    plan: with an opponent.
    live: starts and measures the servers.
    family: every metric that the run judges.
    goes_on: asked before each launch, whether there is time for it.
    """

    def __init__(self, plan: RunPlan, live: Live, family: Sequence[CellKey], *, goes_on: Callable[[], bool]) -> None:
        assert plan.opponent is not None
        self._plan, self._opponent, self._live, self._goes_on = plan, plan.opponent, live, goes_on
        self._family = tuple(family)
        self._looks = Looks(family=len(self._family))
        self._notes: dict[str, tuple[str, ...]] = {}
        self._gaps: dict[str, str] = {}

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Those that are decided, in the order of the family."""
        return tuple(self._verdict(key) for key in self._family if key in self._looks.decided)

    def verdict(self, key: CellKey) -> Verdict:
        """The verdict of this cell; all cells of its server are measured now, if that is not done.

        Raises RecordError; NotChecked: there is nothing to compare, or no time.
        """
        if key not in self._looks.decided and key.server not in self._gaps:
            self._compare(key.server)
        if key not in self._looks.decided:
            raise NotChecked(self._gaps[key.server])
        return self._verdict(key)

    def _verdict(self, key: CellKey) -> Verdict:
        verdict = self._looks.decided[key]
        return msgspec.structs.replace(verdict, notes=(*verdict.notes, *self._notes.get(key.server, ())))

    def _compare(self, server: str) -> None:
        comparison = Comparison(
            {OPPONENT: self._opponent.cases[server], CANDIDATE: self._candidates(server)},
            self._live,
            goes_on=lambda _: self._goes_on(),
        )
        blocks: list[Launches] = []
        try:
            orders = draw_orders(tuple(comparison.arms), MOST_PAIRS + 1, seed=server)
            self._look_inside(server, comparison, orders[0])
            for order in orders:
                workloads = self._open(server)
                if not workloads:
                    break
                blocks.append(comparison.measure_block(order, workloads))
                self._looks.look([self._cell(key, blocks) for key in self._keys(server, workloads)])
        except NotChecked as gap:
            self._gaps[server] = str(gap)
        except (Unmeasured, ArmNotTried) as error:
            why = f"{self._name(error.arm)}: {error.why if isinstance(error, Unmeasured) else error}"
            self._end(server, blocks, why=why, invalid=why)
        except OutOfTime:
            why = "the budget was spent"
            self._end(server, blocks, why=why)
            self._gaps[server] = f"{server} against {self._opponent.label}: {why} before its first launch pair"
        finally:
            self._live.stop()
        if comparison.why_blocks:
            self._notes[server] = (*self._notes.get(server, ()), f"in mirrored blocks: {comparison.why_blocks}")

    def _look_inside(self, server: str, comparison: Comparison, order: tuple[str, ...]) -> None:
        """Note what differs. Raises NotChecked when nothing does, and as `Comparison.look_inside`."""
        servers = comparison.look_inside(order)
        label = self._opponent.label
        seen = differences(servers[OPPONENT], servers[CANDIDATE], names=(label, self._opponent.candidate))
        if not seen:
            raise NotChecked(
                f"{server} and {label} are the same: image, version, arguments, environment and settings. "
                "Next: pass something else to --tokgate-against"
            )
        self._notes[server] = (f"what differs: {', '.join(seen)}",)

    def _end(self, server: str, blocks: Sequence[Launches], *, why: str, invalid: str | None = None) -> None:
        """No launch will follow: decide the open cells that have a value or are invalid.

        invalid: why all of them are; None where their own launches say.
        """
        cells = [self._cell(key, blocks) for key in self._keys(server, self._open(server))]
        if invalid is not None:
            cells = [msgspec.structs.replace(cell, invalid=invalid) for cell in cells]
        self._looks.end([cell for cell in cells if cell.current or cell.invalid], why=why)

    def _open(self, server: str) -> list[str]:
        """The workloads with a cell that is not decided."""
        return list(
            dict.fromkeys(
                key.workload for key in self._family if key.server == server and key not in self._looks.decided
            )
        )

    def _keys(self, server: str, workloads: Sequence[str]) -> list[CellKey]:
        return [key for key in self._family if key.server == server and key.workload in workloads]

    def _cell(self, key: CellKey, blocks: Sequence[Launches]) -> Cell:
        tolerance, promise = self._plan.case(key.server, key.workload).limits(key.metric)
        pairs: list[Mapping[str, float]] = []
        invalid = None
        for launches in blocks:
            if key.workload in launches.measured[0]:
                try:
                    pairs += _pair(launches, key.workload, key.metric)
                except Unmeasured as error:
                    invalid = invalid or f"{self._name(error.arm)}: {error.why}"
        design = blocks[0].design if blocks else "duet"
        return Cell(
            server=key.server,
            workload=key.workload,
            metric=key.metric,
            current=tuple(pair[CANDIDATE] for pair in pairs),
            reference=Reference(
                kind="pairs",
                values=tuple(pair[OPPONENT] for pair in pairs),
                label=self._opponent.label,
                design=design,
            ),
            invalid=invalid,
            tolerance=tolerance,
            promise=promise,
            planned=MOST_PAIRS,
        )

    def _name(self, arm: str) -> str:
        return self._opponent.label if arm == OPPONENT else self._opponent.candidate

    def _candidates(self, server: str) -> tuple[Case, ...]:
        """The cases of the server under a name of their own: launches of a server that works in turns, with cold caches,
        enter no history and no baseline of a server that works alone."""
        name = f"{server}/{self._opponent.candidate}"
        return tuple(
            msgspec.structs.replace(case, server=msgspec.structs.replace(case.server, name=name))
            for case in self._plan.cases_of(server)
        )


def _pair(launches: Launches, workload: str, metric: str) -> list[dict[str, float]]:
    """The values of each launch pair, by arm: of a mirrored block, of launches next to each other (A B, B A)."""
    block = launches.block(workload, metric)
    values = list(zip(block.order, block.values, strict=True))
    return [dict(values[at : at + 2]) for at in range(0, len(values), 2)]
