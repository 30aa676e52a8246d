"""Summary: the part of a run's record that the history needs: a few hundred bytes for each case and hypothesis, without
samples."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Literal

import msgspec

from tokgate._exceptions import RecordError
from tokgate.judge.verdict import Outcome, Verdict
from tokgate.launch.server import ServerFacts
from tokgate.machine.fingerprint import Fact, Fingerprint, Weight
from tokgate.measure.measurement import collect_gated
from tokgate.store.identity import Identity, read_identity
from tokgate.store.imports import IMPORT, ImportRecord
from tokgate.store.runs import RECORD, check_moments, is_cell, read_as

Provenance = Literal["measured", "imported"]


class CellSummary(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One server × workload of one run.

    started: when the run started; UTC, ISO 8601, to the millisecond.
    provenance: measured by tokgate, or imported.
    source: the run, or the imported file.
    conditions: a short hash of the conditions of the workload.
    identity: which server it was.
    valid: whether every launch is valid.
    metrics: by gated metric, one value for each launch.
    outcomes: by metric, the verdict of the run, if there is one.
    startup_s: of each launch, seconds until the server was ready; empty if unknown.
    pass_s: of each launch, seconds of its warm-up (estimated from the mean request) and its timed requests; empty if
        unknown.
    """

    run_id: str
    started: str
    provenance: Provenance = "measured"
    source: str
    server: str
    workload: str
    conditions: str
    valid: bool
    metrics: dict[str, tuple[float, ...]]
    outcomes: dict[str, Outcome] = {}
    startup_s: tuple[float, ...] = ()
    pass_s: tuple[float, ...] = ()
    identity: Identity = {}


class VerdictSummary(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What one run decided about a hypothesis or a cell, also about one whose server did not start.

    started: when the run started; UTC, ISO 8601, to the millisecond.
    depends_on: of a hypothesis, as of a `RunRecord`; empty if the run did not record it.
    conditions: of a cell, a short hash of the conditions of its workload.
    identity: of a cell, which server it was.
    """

    run_id: str
    started: str
    verdict: Verdict
    depends_on: dict[str, str | None] = {}
    conditions: str = ""
    identity: Identity = {}


class Summary(msgspec.Struct, frozen=True):
    """The cells and the verdicts of a record: a cell with the facts of its machine and server, a verdict with those of its
    machine."""

    cells: tuple[tuple[CellSummary, Fingerprint], ...]
    verdicts: tuple[tuple[VerdictSummary, Fingerprint], ...] = ()


def find_record(folder: Path) -> Path:
    """The path of the record in `folder`: of an import if there is one, otherwise of a run, which need not exist."""
    imported = folder / IMPORT
    return imported if imported.is_file() else folder / RECORD


def summarize(file: Path) -> Summary:
    """Summarize a record.

    A run on several boxes has the cells of all of them. Arms of experiments are not cells. Verdicts that the run knew
    from an earlier one are left out, and those of comparisons with another server. Raises RecordError.
    """
    if file.name == IMPORT:
        return Summary(_of_import(read_as(file, ImportRecord)))
    record = read_as(file, _Record)
    boxes = [box.record for box in record.boxes] or [record]
    return Summary(
        cells=tuple(cell for box in boxes for cell in _of_record(box, file)),
        verdicts=tuple(verdict for box in boxes for verdict in _verdicts_of(box)),
    )


def _of_import(record: ImportRecord) -> tuple[tuple[CellSummary, Fingerprint], ...]:
    return tuple(
        (
            CellSummary(
                run_id=record.run_id,
                started=row.started,
                provenance="imported",
                source=record.source,
                server=row.server,
                workload=row.workload,
                conditions=hash_conditions(row.conditions),
                valid=row.valid,
                metrics={row.metric: (row.value,)},
            ),
            row.fingerprint,
        )
        for row in record.rows
    )


def _of_record(record: _Record, file: Path) -> tuple[tuple[CellSummary, Fingerprint], ...]:
    by_case: dict[tuple[str, str], list[_Measurement]] = {}
    for launch in record.measurements:
        if is_cell(launch.server):
            by_case.setdefault((launch.server, launch.workload), []).append(launch)
    outcomes: dict[tuple[str, str], dict[str, Outcome]] = {}
    for verdict in record.verdicts:
        if verdict.kind == "gate":
            outcomes.setdefault((verdict.server, verdict.workload), {})[verdict.metric] = verdict.outcome
    try:
        return tuple(
            (
                _cell(record, launches, outcomes.get(key, {})),
                record.fingerprint.merged(collect_server_facts(launches[0].facts)),
            )
            for key, launches in by_case.items()
        )
    except KeyError as error:
        raise RecordError(f"has no conditions for workload {error}", path=file) from error


def _verdicts_of(record: _Record) -> Iterator[tuple[VerdictSummary, Fingerprint]]:
    identities = {launch.server: read_identity(launch.facts) for launch in reversed(record.measurements)}
    for verdict in record.verdicts:
        of_gate = verdict.kind == "gate" and verdict.design is None and verdict.workload in record.conditions
        if of_gate or (verdict.kind == "hypothesis" and verdict.known is None):
            yield (
                VerdictSummary(
                    run_id=record.run_id,
                    started=record.started,
                    verdict=verdict,
                    depends_on=record.depends_on.get(verdict.hypothesis or "", {}),
                    conditions=hash_conditions(record.conditions[verdict.workload]) if of_gate else "",
                    identity=identities.get(verdict.server, record.identities.get(verdict.server, {})),
                ),
                record.fingerprint,
            )


def hash_conditions(conditions: dict[str, str]) -> str:
    """Eight hexadecimal digits: the same for equal conditions in any order."""
    return hashlib.sha256(msgspec.json.encode(conditions, order="sorted")).hexdigest()[:8]


class _Sample(msgspec.Struct):
    sent_s: float
    end_s: float


class _Host(msgspec.Struct):
    duration_s: float


class _Measurement(msgspec.Struct):
    """The part of a Measurement that is needed; the decoder skips the rest."""

    server: str
    workload: str
    valid: bool
    gated: dict[str, float]
    facts: ServerFacts
    warmup_passes: int
    host: _Host
    samples: tuple[_Sample, ...]


class _Record(msgspec.Struct):
    run_id: str
    started: str
    fingerprint: Fingerprint
    conditions: dict[str, dict[str, str]]
    measurements: tuple[_Measurement, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    identities: dict[str, Identity] = {}
    depends_on: dict[str, dict[str, str | None]] = {}
    boxes: tuple[_Box, ...] = ()

    def __post_init__(self) -> None:
        check_moments(self.started)


class _Box(msgspec.Struct):
    record: _Record


def _cell(record: _Record, launches: Sequence[_Measurement], outcomes: dict[str, Outcome]) -> CellSummary:
    first = launches[0]
    return CellSummary(
        run_id=record.run_id,
        started=record.started,
        source=f"run {record.run_id}",
        server=first.server,
        workload=first.workload,
        conditions=hash_conditions(record.conditions[first.workload]),
        valid=all(launch.valid for launch in launches),
        metrics=collect_gated(launch.gated for launch in launches),
        outcomes=outcomes,
        startup_s=tuple(launch.facts.startup_s for launch in launches if launch.facts.startup_s is not None),
        pass_s=tuple(_pass_s(launch) for launch in launches if launch.samples),
        identity=read_identity(first.facts),
    )


def _pass_s(launch: _Measurement) -> float:
    """Seconds of a launch's requests; a warm-up pass is one request for each stream, all at once."""
    request_s = fmean(sample.end_s - sample.sent_s for sample in launch.samples)
    return launch.host.duration_s + launch.warmup_passes * request_s


def collect_server_facts(facts: ServerFacts) -> dict[str, Fact]:
    """The facts of a server that may explain a change: its image, engine and settings, but not its random port."""
    port = {at + 1 for at, arg in enumerate(facts.args) if arg == "--port"}
    facts_by_key = {
        "engine_version": facts.engine_version,
        "image": facts.image,
        "image_digest": facts.image_digest or facts.image_id,
        "model": facts.model,
        "shm_bytes": facts.shm_bytes,
        "args": " ".join(arg for at, arg in enumerate(facts.args) if at not in port) or None,
        **{f"env.{key}": value for key, value in facts.env.items()},
        **{f"container.{key}": value for key, value in facts.container.items()},
        **{f"settings.{key}": value for key, value in facts.settings.items()},
    }
    return {key: Fact(value, Weight.MAY_DIFFER) for key, value in facts_by_key.items() if value is not None}
