"""One measurement of a server somebody else started, for `tokgate measure`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tokgate.launch.start import start
from tokgate.measure.measurement import Measurement
from tokgate.spec.workload import PromptSet, Workload
from tokgate.suite.cell import Watch, measure_cell
from tokgate.suite.plan import Cell, attached


def measure_url(url: str, model: str, workload: Workload, prompts: PromptSet, *, watch: Watch) -> Measurement:
    """Warm up, drive, measure and validate. Raises LaunchError or ServerUnreachable when it is not there."""
    spec = attached(url, model)
    with tempfile.TemporaryDirectory() as logs, start(spec, log_dir=Path(logs)) as server:
        cell = Cell(server=spec, workload=workload, prompts=prompts)
        return measure_cell(server, cell, launch=1, watch=watch)
