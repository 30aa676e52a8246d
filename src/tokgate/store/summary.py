"""Summary: what history needs of a run's record, a few hundred bytes a cell; samples are left behind."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Literal

import msgspec

from tokgate._exceptions import RecordError
from tokgate.judge.verdict import Outcome
from tokgate.launch.server import ServerFacts
from tokgate.machine.fingerprint import Fact, Fingerprint, Weight
from tokgate.store.imports import IMPORT, ImportRecord
from tokgate.store.runs import RECORD, is_cell, read_as

Provenance = Literal["measured", "imported"]


class CellSummary(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One server × workload of one run.

    started: UTC, ISO 8601, to the millisecond. conditions: a short hash of what the workload asked for.
    valid: whether every launch was. metrics: by gated metric, one value a launch; outcomes: by metric, the
    verdict of the run, where it gave one.
    startup_s: until each launch was ready; pass_s: its warm-up (reckoned from the mean request) and timed
    requests, both in seconds. Empty where the record does not tell.
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


def record_in(folder: Path) -> Path:
    """The file in `folder` that is the truth: an import's, or else a run's, whether it exists or not."""
    imported = folder / IMPORT
    return imported if imported.is_file() else folder / RECORD


def summarise(file: Path) -> tuple[tuple[CellSummary, Fingerprint], ...]:
    """The cells of a record, each with the facts of machine and server it was measured on.

    Those of a run over many boxes are the cells of each. Arms of experiments are not cells. Raises RecordError.
    """
    return _of_import(read_as(file, ImportRecord)) if file.name == IMPORT else _of_run(file)


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
                conditions=digest(row.conditions),
                valid=row.valid,
                metrics={row.metric: (row.value,)},
            ),
            row.fingerprint,
        )
        for row in record.rows
    )


def _of_run(file: Path) -> tuple[tuple[CellSummary, Fingerprint], ...]:
    record = read_as(file, _Record)
    boxes = [box.record for box in record.boxes] or [record]
    return tuple(cell for one in boxes for cell in _of_record(one, file))


def _of_record(record: _Record, file: Path) -> tuple[tuple[CellSummary, Fingerprint], ...]:
    measured: dict[tuple[str, str], list[_Measurement]] = {}
    for one in record.measurements:
        if is_cell(one.server):
            measured.setdefault((one.server, one.workload), []).append(one)
    outcomes: dict[tuple[str, str], dict[str, Outcome]] = {}
    for verdict in record.verdicts:
        if verdict.kind == "gate":
            outcomes.setdefault((verdict.server, verdict.workload), {})[verdict.metric] = verdict.outcome
    try:
        return tuple(
            (
                _cell(record, launches, outcomes.get(key, {})),
                record.fingerprint.merged(server_facts(launches[0].facts)),
            )
            for key, launches in measured.items()
        )
    except KeyError as error:
        raise RecordError(f"has no conditions of workload {error}", path=file) from error


def digest(conditions: dict[str, str]) -> str:
    """Eight hexadecimal digits, the same for equal conditions in any order."""
    return hashlib.sha256(msgspec.json.encode(conditions, order="sorted")).hexdigest()[:8]


class _Sample(msgspec.Struct):
    sent_s: float
    end_s: float


class _Host(msgspec.Struct):
    duration_s: float


class _Measurement(msgspec.Struct):
    """The part of a Measurement that is kept; the decoder skips the rest unread."""

    server: str
    workload: str
    valid: bool
    gated: dict[str, float]
    facts: ServerFacts
    warmup_passes: int
    host: _Host
    samples: tuple[_Sample, ...]


class _Verdict(msgspec.Struct):
    kind: str
    server: str
    workload: str
    metric: str
    outcome: Outcome


class _Record(msgspec.Struct):
    run_id: str
    started: str
    fingerprint: Fingerprint
    conditions: dict[str, dict[str, str]]
    measurements: tuple[_Measurement, ...] = ()
    verdicts: tuple[_Verdict, ...] = ()
    boxes: tuple[_Box, ...] = ()


class _Box(msgspec.Struct):
    record: _Record


def _cell(record: _Record, launches: Sequence[_Measurement], outcomes: dict[str, Outcome]) -> CellSummary:
    first = launches[0]
    names = dict.fromkeys(name for one in launches for name in one.gated)
    return CellSummary(
        run_id=record.run_id,
        started=record.started,
        source=f"run {record.run_id}",
        server=first.server,
        workload=first.workload,
        conditions=digest(record.conditions[first.workload]),
        valid=all(one.valid for one in launches),
        metrics={name: tuple(one.gated[name] for one in launches if name in one.gated) for name in names},
        outcomes=outcomes,
        startup_s=tuple(one.facts.startup_s for one in launches if one.facts.startup_s is not None),
        pass_s=tuple(_pass_s(one) for one in launches if one.samples),
    )


def _pass_s(one: _Measurement) -> float:
    """Seconds of a launch's requests; a pass of the warm-up is one request for each stream, side by side."""
    return one.host.duration_s + one.warmup_passes * fmean(each.end_s - each.sent_s for each in one.samples)


def server_facts(facts: ServerFacts) -> dict[str, Fact]:
    """What of a server may explain a change: its image, engine and settings, without the port of the day."""
    port = {at + 1 for at, arg in enumerate(facts.args) if arg == "--port"}
    told = {
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
    return {key: Fact(value, Weight.MAY_DIFFER) for key, value in told.items() if value is not None}
