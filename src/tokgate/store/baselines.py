"""Baselines: what a server measured when a person said so, as evidence rather than a number.

One YAML file for each server configuration, read in a diff: `baselines/<hardware>/SERVER.yaml`, or
`baselines/local/<fingerprint id>/SERVER.yaml` for a machine whose figures are nobody else's business.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import msgspec
import yaml

from tokgate._exceptions import BaselineRefused
from tokgate.config.base import Spec
from tokgate.config.load import Document
from tokgate.config.metric import MetricName
from tokgate.judge.verdict import Outcome
from tokgate.machine.fingerprint import Fingerprint, differences
from tokgate.measure.measurement import Answers, Measurement
from tokgate.store.files import write_atomically
from tokgate.store.runs import RunRecord

Provenance = Literal["measured", "nights", "reported", "published", "estimate"]


class BaselineCell(Spec, frozen=True, kw_only=True):
    """One workload's values and the conditions they were measured under.

    conditions: what must be the same for a comparison (prompts, load, lengths).
    metrics: by metric, one value per launch.
    cpu_gflops: the machine's CPU yardstick before each launch, GFLOPS, where the CPU makes the tokens.
    """

    conditions: dict[str, str] = {}
    metrics: dict[MetricName, tuple[float, ...]]
    cpu_gflops: tuple[float, ...] = ()


class Baseline(Spec, frozen=True, kw_only=True):
    """What one server configuration measured.

    server: name in fixtures/servers.
    provenance: `measured` here, `reported` by a person, `published` by others, or an `estimate`, which never gates;
        with `nights` there are no values, and the server's runs since `date` are the reference.
    source: run id, or the document the values come from.
    date: when it was measured or published; with `nights`, the first day that counts.
    forced: why a run that is normally refused was accepted.
    fingerprint: facts of the machine, written by `tokgate baseline accept`.
    canary: answers of the model to the canary questions, written by `tokgate baseline accept`.
    cells: by workload name.
    """

    server: str
    provenance: Provenance
    source: str
    date: datetime.date
    forced: str | None = None
    fingerprint: Fingerprint | None = None
    canary: Answers | None = None
    cells: dict[str, BaselineCell]


def read_baseline(path: Path) -> Baseline | None:
    """The baseline at `path`, None when there is none. Raises SpecError with file and line."""
    return Document.read(path).decode(Baseline) if path.is_file() else None


def write_baseline(path: Path, baseline: Baseline) -> None:
    """Write it as YAML that reads well in a diff. Raises RecordError."""
    plain = msgspec.to_builtins(baseline, builtin_types=(datetime.date,))
    text = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)
    write_atomically(path, text.encode())


def baseline_of(record: RunRecord, server: str, *, force: bool, reason: str | None) -> Baseline:
    """What `record` would make the baseline of `server`.

    force, reason: accept a run that is invalid or regressed, saying why; the reason is kept.
    Raises BaselineRefused with every ground at once.
    """
    measured = [one for one in record.measurements if one.server == server]
    if not measured:
        raise BaselineRefused(f"run {record.run_id} has no measurement of {server}")
    grounds = [
        f"{one.workload} launch {one.launch} is invalid: {one.problems[0].rule}: {one.problems[0].detail}"
        for one in measured
        if not one.valid
    ]
    grounds += [
        f"{one.workload} {one.metric} has {one.outcome}: {one.reason}"
        for one in record.verdicts
        if one.server == server and one.outcome in (Outcome.REGRESSED, Outcome.INVALID)
    ]
    if record.ended is None:
        grounds.append("the run did not end by itself")
    if grounds and not (force and reason):
        listed = "\n  - ".join(grounds)
        raise BaselineRefused(
            f"run {record.run_id} must not become the baseline of {server}:\n  - {listed}\n"
            "Measure again; or, if you know better, --force --reason TEXT (the reason is kept in the file)."
        )
    workloads = dict.fromkeys(one.workload for one in measured)
    return Baseline(
        server=server,
        provenance="measured",
        source=f"run {record.run_id}",
        date=datetime.date.fromisoformat(record.started[:10]),
        forced=reason if grounds else None,
        fingerprint=record.fingerprint,
        canary=next((one.canary.answers for one in measured if one.canary is not None), None),
        cells={
            workload: BaselineCell(
                conditions=record.conditions[workload],
                metrics=_by_metric([one.gated for one in measured if one.workload == workload]),
                cpu_gflops=yardsticks(one for one in measured if one.workload == workload),
            )
            for workload in workloads
        },
    )


def why_not_comparable(
    baseline: Baseline, workload: str, *, conditions: dict[str, str], fingerprint: Fingerprint
) -> str | None:
    """Why this baseline says nothing about a cell measured now; None when it does."""
    cell = baseline.cells.get(workload)
    if cell is None:
        return f"the baseline has no workload {workload}"
    if baseline.provenance == "estimate":
        return f"the baseline is an estimate ({baseline.source}); estimates are shown and never gate"
    changed = [
        f"{key}: {was} → {conditions.get(key)}"
        for key, was in cell.conditions.items()
        if conditions.get(key) != was
    ]
    if changed:
        return f"the workload is no longer what the baseline measured ({', '.join(changed)})"
    if baseline.fingerprint is None:
        return None
    other = [str(one) for one in differences(baseline.fingerprint, fingerprint) if one.weight == "must_match"]
    return f"the baseline is of another machine ({', '.join(other)})" if other else None


def yardsticks(launches: Iterable[Measurement]) -> tuple[float, ...]:
    """The machine's pace before each launch, of those that took it."""
    return tuple(one.cpu_gflops for one in launches if one.cpu_gflops is not None)


def _by_metric(launches: Sequence[dict[str, float]]) -> dict[MetricName, tuple[float, ...]]:
    names = dict.fromkeys(name for launch in launches for name in launch)
    return {name: tuple(launch[name] for launch in launches if name in launch) for name in names}
