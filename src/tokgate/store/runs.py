"""RunRecord: everything of one run, in `runs/<UTC time>-<id>/run.json`, rewritten whole as each cell ends."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from tokgate._exceptions import RecordError, UsageError
from tokgate.config.hypothesis import Hypothesis
from tokgate.config.profile import Conclusion
from tokgate.config.workload import Workload
from tokgate.judge.verdict import Verdict
from tokgate.machine.fingerprint import Fingerprint
from tokgate.measure.measurement import Measurement
from tokgate.store.files import write_atomically

T = TypeVar("T")

SCHEMA = 1
RECORD = "run.json"
_ID = "%Y%m%dT%H%M%SZ"


class Launches(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the plan of one server under one workload.

    used: launches measured, a fresh one to confirm a regression included. stopped: early because all its
    metrics were decided, as planned, or by the budget's end; None where it was not asked for, or goes on.
    """

    server: str
    workload: str
    planned: int
    used: int
    stopped: Literal["decided", "planned", "budget"] | None


class Spending(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a run's budget; spent_s: until the latest verdict, in seconds."""

    budget_s: float
    spent_s: float
    launches: tuple[Launches, ...]


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One run. Append-only while it lasts, immutable once `ended` is set.

    started, ended: UTC, ISO 8601; ended is None while it runs, or when it was cut off.
    baselines: where this run's baselines live, below `baselines/`.
    conditions: by workload, what a baseline must share with it to be compared.
    hypotheses: what was claimed when this run tested it, for whoever reads the record after the claim changed.
    conclusions: what was to follow from them together.
    not_checked: what this run could not check, each with its reason.
    spending: by what plan a run with a budget went, None without one.
    boxes: of a run over many hosts, each with the record of its own; then this one says nothing of a machine, and
    neither measured nor judged.
    """

    schema: int = SCHEMA
    run_id: str
    started: str
    ended: str | None = None
    tokgate: str
    command: tuple[str, ...]
    profile: str
    baselines: str
    fingerprint: Fingerprint
    conditions: dict[str, dict[str, str]]
    hypotheses: tuple[Hypothesis, ...] = ()
    conclusions: tuple[Conclusion, ...] = ()
    not_checked: tuple[str, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    spending: Spending | None = None
    boxes: tuple[Box, ...] = ()


class Box(msgspec.Struct, frozen=True, kw_only=True):
    """One box of a run over many. host: as it was named; place: where its own record lies there."""

    host: str
    place: str
    record: RunRecord


def runs_of(record: RunRecord) -> tuple[RunRecord, ...]:
    """What was measured: by the run itself, or by each of its boxes."""
    return tuple(box.record for box in record.boxes) or (record,)


class RunWriter:
    """The one writer of a run's folder. Every change is on disk when the method returns."""

    def __init__(self, folder: Path, record: RunRecord) -> None:
        self.folder, self.record = folder, record
        self._write(record)

    def add_measurement(self, measurement: Measurement) -> None:
        """Append one cell's measurement. Raises RecordError, and keeps it for the next write."""
        self._write(
            msgspec.structs.replace(self.record, measurements=(*self.record.measurements, measurement))
        )

    def set_verdicts(self, verdicts: tuple[Verdict, ...], spending: Spending | None = None) -> None:
        """Replace the verdicts, and what became of the budget. Raises RecordError."""
        self._write(msgspec.structs.replace(self.record, verdicts=verdicts, spending=spending))

    def add_not_checked(self, what: str) -> None:
        """Say that something was not checked, and why; once. Raises RecordError."""
        told = dict.fromkeys((*self.record.not_checked, what))
        self._write(msgspec.structs.replace(self.record, not_checked=tuple(told)))

    def end(self) -> None:
        """State that the run is complete. Raises RecordError."""
        self._write(msgspec.structs.replace(self.record, ended=now()))

    def _write(self, record: RunRecord) -> None:
        self.record = record
        write_atomically(self.folder / RECORD, msgspec.json.format(msgspec.json.encode(record), indent=1))


def new_run_folder(out: Path, name: str | None = None) -> Path:
    """A folder below `out`, made, whose name is a run id: the one given, or one that sorts by time.

    Raises RecordError.
    """
    folder = out / (name or f"{datetime.now(UTC):{_ID}}-{secrets.token_hex(3)}")
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise RecordError(
            f"cannot be made: {error.strerror}; choose another place with --tokgate-out", path=folder
        ) from error
    return folder


def read_run(path: Path) -> RunRecord:
    """The record of a run's folder, or of its run.json. Raises RecordError: absent, damaged, of a newer schema."""
    return read_as(path / RECORD if path.is_dir() else path, RunRecord)


def read_as(file: Path, kind: type[T]) -> T:
    """The record in `file` as a `kind`, which may leave fields out. Raises RecordError as `read_run`."""
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise RecordError(f"cannot be read: {error.strerror}", path=file) from error
    if not raw:
        raise RecordError("is empty: the run was cut off before its first record", path=file)
    try:
        schema = msgspec.json.decode(raw, type=_Schema).schema
        if schema > SCHEMA:
            raise RecordError(
                f"has schema {schema}, this tokgate reads up to {SCHEMA}; update tokgate", path=file
            )
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecordError(f"is not a run record: {error}", path=file) from error


def find_run(out: Path, name: str) -> Path:
    """The folder of a run by path, by id, by the start of its id, or `latest`: the one written last.

    Not the last id: a run has its id before it waits for another to end. Raises RecordError.
    """
    if Path(name).exists():
        return Path(name)
    runs = sorted(path.parent for path in out.glob(f"*/{RECORD}"))
    if name == "latest" and runs:
        return max(runs, key=lambda run: (run / RECORD).stat().st_mtime_ns)
    found = [run for run in runs if run.name == name] or [run for run in runs if run.name.startswith(name)]
    if len(found) != 1:
        seen = (
            f"{len(found)} runs start with it" if found else f"there are {len(runs)} runs, none of that name"
        )
        raise RecordError(f"which run is {name!r}? {seen}; give a folder, a run id or `latest`", path=out)
    return found[0]


def read_runs(out: Path, name: str) -> tuple[RunRecord, ...]:
    """The record of the run `find_run` finds; of a run over many boxes those of its boxes, or of the one box whose
    run id is given. Raises RecordError.
    """
    try:
        return runs_of(read_run(find_run(out, name)))
    except RecordError:
        wholes = [one for one in out.glob(f"*/{RECORD}") if name.startswith(f"{one.parent.name}-")]
        found = [one for whole in wholes for one in runs_of(read_run(whole)) if one.run_id == name]
        if not found:
            raise
        return tuple(found)


def read_one_run(out: Path, name: str) -> RunRecord:
    """As `read_runs`, where it must be one. Raises RecordError, and UsageError naming the boxes there are."""
    found = read_runs(out, name)
    if len(found) > 1:
        ids = " or ".join(one.run_id for one in found)
        raise UsageError(f"run {name} is of {len(found)} boxes; name the run of one of them: {ids}")
    return found[0]


def dated_ahead(out: Path) -> str | None:
    """The newest run below `out` by id when that is dated after now; None when time goes forward."""
    newest = max((path.parent.name for path in out.glob(f"[0-9]*Z-*/{RECORD}")), default="")
    return newest if newest > f"{datetime.now(UTC):{_ID}}~" else None


def is_cell(server: str) -> bool:
    """Whether what was measured under this name is of a declared server, and so has a history and may have a
    baseline: an arm of an experiment is named HYPOTHESIS/ARM, an image of a bisection SERVER/IMAGE.
    """
    return "/" not in server


def now() -> str:
    """UTC, ISO 8601, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class _Schema(msgspec.Struct):
    schema: int


def conditions_of(workload: Workload, prompts_sha256: str) -> dict[str, str]:
    """What makes two measurements of a workload comparable, as text by key."""
    shape = {"load": msgspec.json.encode(workload.load).decode(), "prompts_sha256": prompts_sha256}
    return shape | {key: str(getattr(workload, key)) for key in ("requests", "max_tokens", "seed")}
