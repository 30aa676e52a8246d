"""A real server that seems to read faster than the chip's memory gives an invalid measurement."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tokgate.launch.start import start
from tokgate.spec.catalogue import Catalogue
from tokgate.spec.hardware import Hardware
from tokgate.spec.workload import Workload
from tokgate.suite.cell import measure_cell
from tokgate.suite.plan import Cell


def test_more_bandwidth_than_there_is_invalidates(catalogue: Catalogue, tmp_path: Path) -> None:
    spec = catalogue.server("embedded-smollm2", {"model": {"bytes_per_token": "90MB"}})
    workload = Workload(
        name="short", description="two short answers", prompts="short-chat", requests=2, max_tokens=8
    )
    slow = Hardware(name="slow-chip", description="", source="", bandwidth_GBps=0.01)
    cell = Cell(server=spec, workload=workload, prompts=catalogue.prompts("short-chat"), hardware=slow)
    with start(spec, log_dir=tmp_path) as server:
        impossible = measure_cell(server, cell, launch=1, watch=lambda *_: None)
        fast = msgspec.structs.replace(slow, bandwidth_GBps=1e6)
        possible = measure_cell(
            server, msgspec.structs.replace(cell, hardware=fast), launch=2, watch=lambda *_: None
        )
    (problem,) = [one for one in impossible.problems if one.rule == "above_roofline"]
    assert not impossible.valid
    assert "slow-chip allows on paper (0.01 GB/s" in problem.detail
    assert "above_roofline" not in {one.rule for one in possible.problems}
