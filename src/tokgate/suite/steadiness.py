"""How steady this machine is: what earlier runs and the last `tokgate doctor --steadiness` show, and that trial itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from tokgate._exceptions import LaunchError, RecordError, SpecError
from tokgate.config.catalogue import Catalogue
from tokgate.config.words import format_count, format_duration, format_figure, format_quantity
from tokgate.judge.steadiness import METRIC, assess_steadiness, describe_steadiness
from tokgate.launch.start import start
from tokgate.machine.fingerprint import compute_fingerprint_id, read_fingerprint
from tokgate.machine.speed import measure_bandwidth
from tokgate.measure.measurement import Measurement
from tokgate.store.history import Point, read_history
from tokgate.store.runs import is_cell, now
from tokgate.store.steadiness import Trial, read_trial, write_trial
from tokgate.suite.case import measure_case
from tokgate.suite.instruments import Instruments
from tokgate.suite.past import NIGHTS
from tokgate.suite.plan import Case, RunPlan

SERVER, WORKLOAD = "embedded-smollm2", "chat-c1"
"""The load of the trial: a real engine predicts servers better than any fixed piece of work (docs/verdicts.md)."""

_LEAST = 3
"""Repetitions of the trial, unless they take longer than `_PATIENCE` times its duration."""

_PATIENCE = 2.0  # a busy machine makes single launches very slow

_PAUSE_S = 0.5  # between two readings of the memory, so that a minute is not one burst


def count_family(plan: RunPlan) -> int:
    """The number of cells that share the error of a run of this plan."""
    return max(1, sum(len(case.workload.gated) for case in plan.cases))


def summarize_steadiness(out: Path, *, family: int) -> str:
    """One line about this machine, from the records in `out` and the trial kept there."""
    machine = compute_fingerprint_id(read_fingerprint())
    trial = read_trial(out, machine=machine)
    try:
        cells = [*_collect_runs(out, machine)] if out.is_dir() else []
    except RecordError as error:
        return f"steadiness: unknown: {error}"
    # Memory is read more steadily than any server answers, so that trial counts only where nothing else is known.
    if trial is not None and trial.values and (trial.server is not None or not cells):
        cells.append([trial.values])
    steadiness = assess_steadiness(cells, family=family)
    if steadiness is not None:
        return f"steadiness: {describe_steadiness(steadiness)}"
    if trial is not None:
        launches = format_count(trial.disturbed, "launch")
        return f"steadiness: unknown: other programs disturbed {launches} of the trial; repeat it on a quiet machine"
    return "steadiness: unknown: no earlier runs; run `tokgate doctor --steadiness`"


def _collect_runs(out: Path, machine: str) -> Iterator[list[tuple[float, ...]]]:
    """By cell, the values of its last valid runs; a cell whose server or machine changed is another cell."""
    for series in read_history(out, metric=METRIC, fingerprint=machine):
        groups: dict[int, list[Point]] = {}
        for point in series.points:
            if is_cell(series.server) and point.valid and point.provenance == "measured" and min(point.launches) > 0:
                groups.setdefault(id(point.fingerprint), []).append(point)  # equal facts share one object
        for points in groups.values():
            yield [point.launches for point in points[-NIGHTS[1] :]]


def run_trial(catalogue: Catalogue, out: Path, *, seconds: float, say: Callable[[str], None]) -> Trial:
    """Repeat a fixed load for `seconds`, if possible three times, and keep the result in `out`.

    The load is the embedded engine: each repetition launches it and measures decode as the suite does. Where it
    cannot be started, memory is read instead.
    say: called with a line for each repetition.
    Raises RecordError.
    """
    server: str | None = SERVER
    values: list[float] = []
    disturbed = 0
    say(f"launches {SERVER} again and again for {format_duration(seconds)}; a busy machine takes longer")
    try:
        for launch, measurement in enumerate(_launch_repeatedly(catalogue, seconds), start=1):
            value = measurement.gated.get(METRIC)
            if measurement.valid and value is not None:
                values.append(value)
                say(f"launch {launch} of {SERVER}: {METRIC} {format_figure(METRIC, value)}")
            else:
                disturbed += 1
                say(f"launch {launch} of {SERVER} does not count: {measurement.problems[0].detail}")
    except (LaunchError, SpecError) as error:
        say(f"reads memory instead of starting a server, and servers scatter more than that: {error}")
        server, disturbed = None, 0
        values = [*_read_repeatedly(seconds)]
        say(f"{format_count(len(values), 'reading')}, {format_quantity(max(values), 'GB/s')} at best")
    trial = Trial(
        machine=compute_fingerprint_id(read_fingerprint()),
        measured=now(),
        server=server,
        values=tuple(values),
        disturbed=disturbed,
    )
    write_trial(out, trial)
    return trial


def _launch_repeatedly(catalogue: Catalogue, seconds: float) -> Iterator[Measurement]:
    """Measurements of new launches of the embedded engine. Raises LaunchError, SpecError."""
    workload = catalogue.workload(WORKLOAD)
    case = Case(server=catalogue.server(SERVER), workload=workload, prompts=catalogue.prompts(workload.prompts))
    instruments = Instruments()
    for launch in _count_for(seconds):
        with TemporaryDirectory() as logs, start(case.server, log_dir=Path(logs)) as server:
            yield measure_case(server, case, instruments, launch=launch, watch=lambda *_: None)


def _read_repeatedly(seconds: float) -> Iterator[float]:
    """The memory bandwidth again and again, GB/s."""
    for _ in _count_for(seconds):
        yield measure_bandwidth()
        time.sleep(_PAUSE_S)


def _count_for(seconds: float) -> Iterator[int]:
    """1, 2, 3 … while the trial goes on."""
    began_s = time.monotonic()
    for number in count(1):
        yield number
        spent_s = time.monotonic() - began_s
        if spent_s >= seconds and (number >= _LEAST or spent_s >= _PATIENCE * seconds):
            return
