"""What the tests of comparisons share: a stand-in for live servers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tokgate._exceptions import LaunchError
from tokgate.config.catalogue import Catalogue
from tokgate.measure.measurement import Measurement, Problem
from tokgate.suite.plan import Case
from tokgate.suite.room import NoRoom

VALUES = {"x/a": 10.0, "x/b": 20.0, "x/c": 30.0}
"""decode_tps of each server."""


class FakeLive:
    """Notes what is started and measured.

    invalid: launches that are not valid. broken: servers that do not start. no_room: why no two fit.
    """

    def __init__(self, measurement: Measurement) -> None:
        self.measurement = measurement
        self.log: list[str] = []
        self.kept: list[Measurement] = []
        self.invalid: set[tuple[str, int]] = set()
        self.broken: dict[str, LaunchError] = {}
        self.no_room = "two do not fit"
        self.live = ""
        self.values = dict(VALUES)

    def start(self, spec: Any, launch: int) -> Any:
        if spec.name in self.broken:
            raise self.broken[spec.name]
        if self.live != f"{spec.name} {launch}":
            self.live = f"{spec.name} {launch}"
            self.log.append(f"start {self.live}")
        return spec.name

    def start_together(self, specs: Mapping[str, Any], launch: int) -> Any:
        names = [spec.name for spec in specs.values()]
        if self.no_room:
            raise NoRoom(self.no_room)
        for name in names:
            if name in self.broken:
                raise self.broken[name]
        if self.live != f"{sorted(names)} {launch}":
            self.live = f"{sorted(names)} {launch}"
            self.log.append(f"start {' and '.join(names)} {launch}")
        return {arm: spec.name for arm, spec in specs.items()}

    def measure_together(self, cases: Mapping[str, Case], launch: int) -> dict[str, Measurement]:
        """The machine is slower from launch to launch; so are all arms."""
        assert self.live == f"{sorted(case.server.name for case in cases.values())} {launch}"
        self.log.append(f"measure {next(iter(cases.values())).workload.name}")
        measured = {arm: self._make(case, launch) for arm, case in cases.items()}
        return {
            arm: msgspec.structs.replace(one, rounds={"decode_tps": (one.gated["decode_tps"] / launch,) * 3})
            for arm, one in measured.items()
        }

    def measure(self, case: Case, launch: int) -> Measurement:
        assert self.live == f"{case.server.name} {launch}"
        return self._make(case, launch)

    def _make(self, case: Case, launch: int) -> Measurement:
        name = case.server.name
        valid = (name, launch) not in self.invalid
        self.kept.append(
            msgspec.structs.replace(
                self.measurement,
                server=name,
                launch=launch,
                valid=valid,
                problems=() if valid else (Problem(rule="host_busy", detail="others ran"),),
                gated={"decode_tps": self.values[name]},
            )
        )
        return self.kept[-1]

    def stop(self) -> None:
        self.live = ""


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    """The fixtures of this repository."""
    return Catalogue(Path(__file__).parents[3] / "fixtures")


@pytest.fixture
def live(bare_measurement: Measurement) -> FakeLive:
    return FakeLive(bare_measurement)
