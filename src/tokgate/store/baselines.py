"""Baselines: the values of a server that a person accepted, kept as evidence.

One YAML file for each server configuration, to be reviewed as a diff: `baselines/<hardware>/SERVER.yaml`, or
`baselines/local/<fingerprint id>/SERVER.yaml` for a machine whose values concern nobody else.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Literal

import msgspec
import yaml

from tokgate._exceptions import BaselineRefused
from tokgate.config.base import Spec
from tokgate.config.load import Document
from tokgate.config.metric import MetricName, find_metric
from tokgate.config.names import explain_name
from tokgate.config.quiet import QuietLimits
from tokgate.config.words import format_figure, format_percent
from tokgate.judge.coverage import describe_missing
from tokgate.judge.policy import Consequence, classify
from tokgate.machine.fingerprint import Fingerprint, find_differences
from tokgate.measure.measurement import Answers, collect_gated
from tokgate.measure.metrics import compute_geometric_mean
from tokgate.store.files import write_atomically
from tokgate.store.identity import Identity, list_identity_changes, read_identity
from tokgate.store.runs import RunRecord, is_cell

Provenance = Literal["measured", "nights", "reported", "published", "estimate"]


class BaselineCell(Spec, frozen=True, kw_only=True, omit_defaults=True):
    """One workload's values and the conditions they were measured under.

    conditions: what must be the same for a comparison (prompts, load, lengths).
    source: the earlier run that measured it, if the run of the file did not.
    date: when that run measured it.
    metrics: by metric, one value per launch.
    cpu_gflops: no longer used; baselines that an earlier version wrote have it.
    """

    conditions: dict[str, str] = {}
    source: str | None = None
    date: datetime.date | None = None
    metrics: dict[MetricName, tuple[float, ...]]
    cpu_gflops: tuple[float, ...] = ()


class Baseline(Spec, frozen=True, kw_only=True):
    """What one server configuration measured.

    server: name in fixtures/servers.
    provenance: `measured` here, `reported` by a person, `published` by others, or an `estimate`, which never gates;
        with `nights` there are no values, and the server's runs since `date` are the reference.
    source: run id, or the document the values come from.
    date: when it was measured or published; with `nights`, the first day that counts.
    quiet: what other programs were allowed to use of the machine, where its profile sets other limits than usual; the
        values remain comparable.
    forced: why a run was accepted although it was invalid, inconclusive, looked worse, had one launch or was cut off.
    fingerprint: facts of the machine, written by `tokgate baseline accept`.
    identity: which server it was (its model, and of an attached server also engine, version and URL), likewise.
    canary: answers of the model to the canary questions, likewise.
    cells: by workload name.
    """

    server: str
    provenance: Provenance
    source: str
    date: datetime.date
    quiet: QuietLimits | None = None
    forced: str | None = None
    fingerprint: Fingerprint | None = None
    identity: Identity = {}
    canary: Answers | None = None
    cells: dict[str, BaselineCell]


def read_baseline(path: Path) -> Baseline | None:
    """The baseline at `path`, None when there is none. Raises SpecError with file and line."""
    return Document.read(path).decode(Baseline) if path.is_file() else None


def write_baseline(path: Path, baseline: Baseline) -> None:
    """Write `baseline` as YAML that is easy to review as a diff. Raises RecordError."""
    plain = msgspec.to_builtins(baseline, builtin_types=(datetime.date,))
    text = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)
    write_atomically(path, text.encode())


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A run as the baseline of a server, before somebody accepts it.

    old: the baseline that it would replace.
    objections: why a person must decide; empty if nothing speaks against it.
    """

    new: Baseline
    old: Baseline | None
    objections: tuple[str, ...]

    def accept(self, reason: str | None) -> Baseline:
        """The baseline to write. reason: why it is accepted against the objections. Raises BaselineRefused without one."""
        if not self.objections:
            return self.new
        if not reason:
            listed = "\n  - ".join(self.objections)
            raise BaselineRefused(
                f"{self.new.source} does not become the baseline of {self.new.server} without a reason:\n  - {listed}\n"
                "Nothing was written. Next: measure again, or accept it with --force --reason TEXT; the reason is kept in "
                "the file"
            )
        return msgspec.structs.replace(self.new, forced=reason)


def make_candidates(records: Iterable[RunRecord], folder: Path, *, servers: Sequence[str]) -> dict[Path, Candidate]:
    """What the boxes of a run would make the baselines, by the file that each is for.

    folder: of all baselines.
    servers: those that get one; all that were measured, where it is empty.
    Raises BaselineRefused, SpecError.
    """
    candidates: dict[Path, Candidate] = {}
    for record in records:
        names = dict.fromkeys(launch.server for launch in record.measurements if is_cell(launch.server))
        if not (servers or names):
            only = "only arms of experiments or images" if record.measurements else "nothing"
            raise BaselineRefused(f"run {record.run_id} measured {only}")
        for server in servers or names:
            path = _locate(folder, record, server)
            old = read_baseline(path)
            new = keep_other_workloads(make_baseline(record, server), old)
            if path in candidates:
                raise BaselineRefused(
                    f"{path} would be the baseline of two boxes: {candidates[path].new.source} and {new.source}. "
                    f"Choose one: tokgate baseline accept {record.run_id}"
                )
            candidates[path] = Candidate(new=new, old=old, objections=tuple(_list_objections(record, new, old)))
    return candidates


def _locate(folder: Path, record: RunRecord, server: str) -> Path:
    """Where the baseline of a server is. Raises BaselineRefused: the record, which may be from elsewhere, names another place."""
    path = folder / record.baselines / f"{server}.yaml"
    names = (*PurePosixPath(record.baselines).parts, server)
    if record.baselines and not any(map(explain_name, names)):
        with suppress(OSError, RuntimeError):  # a loop of links
            if path.resolve().is_relative_to(folder.resolve()):
                return path
    raise BaselineRefused(
        f"run {record.run_id} names {str(path)!r} as the place of a baseline, which is not a file below {folder}. "
        "Next: check where this record comes from, or measure again"
    )


def make_baseline(record: RunRecord, server: str) -> Baseline:
    """Make the baseline of `server` from `record`. Raises BaselineRefused: it was not measured, or under unknown conditions."""
    launches = [launch for launch in record.measurements if launch.server == server]
    if not launches:
        raise BaselineRefused(f"run {record.run_id} has no measurement of {server}")
    workloads = dict.fromkeys(launch.workload for launch in launches)
    if unknown := [workload for workload in workloads if workload not in record.conditions]:
        raise BaselineRefused(f"run {record.run_id} does not state the conditions of {', '.join(unknown)}")
    return Baseline(
        server=server,
        provenance="measured",
        source=f"run {record.run_id}",
        date=datetime.date.fromisoformat(record.started[:10]),
        quiet=record.quiet if record.quiet != QuietLimits() else None,
        fingerprint=record.fingerprint,
        identity=read_identity(launches[0].facts),
        canary=next((launch.canary.answers for launch in launches if launch.canary is not None), None),
        cells={
            workload: BaselineCell(
                conditions=record.conditions[workload],
                metrics=collect_gated(launch.gated for launch in launches if launch.workload == workload),
            )
            for workload in workloads
        },
    )


def keep_other_workloads(new: Baseline, old: Baseline | None) -> Baseline:
    """The new baseline with the workloads of the old one that its run did not measure: a budget has no time for all.

    Only those that were measured on this machine and of this server are kept, with their source and date.
    """
    if old is None or old.provenance != "measured" or old.fingerprint is None or new.fingerprint is None:
        return new
    if any(difference.weight == "must_match" for difference in find_differences(old.fingerprint, new.fingerprint)):
        return new
    if explain_other_server(old, new.server, new.identity) is not None:
        return new
    kept = {
        workload: msgspec.structs.replace(cell, source=cell.source or old.source, date=cell.date or old.date)
        for workload, cell in old.cells.items()
        if workload not in new.cells
    }
    return msgspec.structs.replace(new, cells={**new.cells, **kept})


def _list_objections(record: RunRecord, new: Baseline, old: Baseline | None) -> Iterator[str]:
    """Why a person should look at this run before it becomes a baseline."""
    launches = [launch for launch in record.measurements if launch.server == new.server]
    for launch in launches:
        if not launch.valid:
            problem = launch.problems[0]
            yield f"{launch.workload} launch {launch.launch} is invalid: {problem.rule}: {problem.detail}"
    for workload, count in Counter(launch.workload for launch in launches).items():
        if count == 1:
            yield f"{workload} has one launch, so nothing shows how much launches vary"
    for verdict in record.verdicts:
        if verdict.kind == "gate" and verdict.server == new.server and classify(verdict) is not Consequence.FINE:
            yield f"{verdict.workload} {verdict.metric} is {verdict.outcome}: {verdict.reason}"
    prevented = (each for each in record.missing if each.server == new.server and not each.deselected)
    yield from (f"no verdict on {line}" for line in describe_missing(prevented))
    if old is not None and explain_other_server(old, new.server, new.identity) is None:
        yield from _list_losses(new, old)
    if record.ended is None:
        yield "the run did not finish"


def _list_losses(new: Baseline, old: Baseline) -> Iterator[str]:
    """The metrics that look worse than in the old baseline by more than their tolerance."""
    for workload, cell in new.cells.items():
        if cell.source is not None:  # kept
            continue
        fingerprint = new.fingerprint or Fingerprint({})
        if explain_incomparable(old, workload, conditions=cell.conditions, fingerprint=fingerprint) is not None:
            continue
        for metric, values in cell.metrics.items():
            now = compute_geometric_mean(values)
            was = compute_geometric_mean(old.cells[workload].metrics.get(metric, ()))
            if not now or not was:
                continue
            row = find_metric(metric)
            loss = 1 - (was / now if row.direction == "lower" else now / was)
            if loss > row.tolerance:
                change = f"{format_figure(metric, was)} → {format_figure(metric, now)}"
                yield f"{workload} {metric} looks worse than the baseline by {format_percent(loss)}: {change}"


def explain_other_server(baseline: Baseline, server: str, identity: Identity) -> str | None:
    """Why this baseline does not belong to a server; None if it does."""
    if baseline.server != server:
        return f"its file states the baseline of {baseline.server}"
    changes = list_identity_changes(baseline.identity, identity)
    return f"the baseline belongs to another server ({', '.join(changes)})" if changes else None


def explain_incomparable(
    baseline: Baseline, workload: str, *, conditions: dict[str, str], fingerprint: Fingerprint
) -> str | None:
    """Why a cell measured now cannot be compared with this baseline; None if it can."""
    cell = baseline.cells.get(workload)
    if cell is None:
        return f"the baseline does not contain workload {workload}"
    if baseline.provenance == "estimate":
        return f"the baseline is an estimate ({baseline.source}); estimates are only shown"
    changed = [
        f"{key}: {was} → {conditions.get(key)}" for key, was in cell.conditions.items() if conditions.get(key) != was
    ]
    if changed:
        return f"the workload has changed since the baseline ({', '.join(changed)})"
    if baseline.fingerprint is None:
        return None
    other = [
        str(difference)
        for difference in find_differences(baseline.fingerprint, fingerprint)
        if difference.weight == "must_match"
    ]
    return f"the baseline comes from another machine ({', '.join(other)})" if other else None
