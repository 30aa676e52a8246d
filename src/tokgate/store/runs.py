"""RunRecord: everything about one run, in `runs/<UTC time>-<id>/run.json`, rewritten after each cell."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from tokgate._exceptions import RecordError, UsageError
from tokgate.config.bounds import RECORD_BYTES
from tokgate.config.hypothesis import Hypothesis
from tokgate.config.profile import Conclusion
from tokgate.config.quiet import QuietLimits
from tokgate.config.reading import decode_json, read_file
from tokgate.config.workload import Workload
from tokgate.judge.cell import CaseKey, CellKey
from tokgate.judge.coverage import Missing, describe_missing
from tokgate.judge.verdict import Later, Verdict
from tokgate.machine.fingerprint import Fingerprint
from tokgate.machine.leftovers import OWNER_FILE
from tokgate.machine.owner import Owner
from tokgate.measure.measurement import Measurement
from tokgate.store.files import encode_json, exists, write_atomically
from tokgate.store.identity import Identity

T = TypeVar("T")

SCHEMA = 1
RECORD = "run.json"
_ID = "%Y%m%dT%H%M%SZ"
_ACCEPTED = "pass a folder, a run ID, the start of one, or `latest`"
_SHOWN_NEWEST = 3  # of the runs, when a name matches none
_SHOWN_MATCHES = 5  # of an ambiguous name: enough to choose from, and short enough for one message


class Launches(msgspec.Struct, frozen=True, kw_only=True):
    """The launches of one server under one workload.

    used: number of launches measured, including a repeat launch that confirms a regression.
    stopped: `decided`: early, because all its metrics were decided; `planned`: as planned; `budget`: at the end of
        the budget; None: not measured, or still in progress.
    """

    server: str
    workload: str
    planned: int
    used: int
    stopped: Literal["decided", "planned", "budget"] | None


class Spending(msgspec.Struct, frozen=True, kw_only=True):
    """How a run used its budget.

    spent_s: time until the latest verdict, seconds.
    launches: of each case.
    """

    budget_s: float
    spent_s: float
    launches: tuple[Launches, ...]


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One run. Append-only while it lasts, immutable once `ended` is set.

    schema: version of the format.
    run_id: UTC time and random digits; the name of its folder.
    started: UTC, ISO 8601.
    ended: UTC, ISO 8601; None while it runs, or if it was interrupted.
    tokgate: version of tokgate.
    baselines: folder of this run's baselines, below `baselines/`.
    fingerprint: facts of the machine.
    conditions: by workload, what a baseline must share to be compared.
    identities: by server, which one it is, as far as that is known before the run.
    hypotheses: the hypotheses as they were when this run tested them.
    depends_on: by hypothesis, the facts that its verdict depends on, as they could be read before it was tested; None
        where one cannot be read.
    conclusions: the conclusions of the profile, likewise.
    quiet: what other programs were allowed to use of the machine.
    not_checked: what this run did not check, each with its reason; also the missing verdicts, one line for each reason.
    missing: the verdicts that it planned and did not give, except those that the budget had no time for or that could not
        be checked here.
    measurements: one for each case and launch.
    spending: how the budget was used; None without a budget.
    later: what the budget had no time for.
    boxes: of a run on several boxes, the record of each; the record of such a run has no measurements or verdicts of
        its own, and its fingerprint is empty.
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
    identities: dict[str, Identity] = {}
    hypotheses: tuple[Hypothesis, ...] = ()
    depends_on: dict[str, dict[str, str | None]] = {}
    conclusions: tuple[Conclusion, ...] = ()
    quiet: QuietLimits = QuietLimits()
    not_checked: tuple[str, ...] = ()
    missing: tuple[Missing, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    spending: Spending | None = None
    later: tuple[Later, ...] = ()
    boxes: tuple[Box, ...] = ()

    def __post_init__(self) -> None:
        """Raises ValueError: a time is not ISO 8601 with a zone."""
        known = (*(verdict.known for verdict in self.verdicts), *(later.known for later in self.later))
        check_moments(self.started, self.ended, *(launch.started for launch in self.measurements))
        check_moments(*(run.started for run in known if run is not None))


class Box(msgspec.Struct, frozen=True, kw_only=True):
    """One box of a run on several boxes.

    host: its address, as in --tokgate-hosts.
    place: path of its own record on that box.
    """

    host: str
    place: str
    record: RunRecord


def list_runs(record: RunRecord) -> tuple[RunRecord, ...]:
    """The records with measurements: of each box, or of the run itself."""
    return tuple(box.record for box in record.boxes) or (record,)


def find_gate_verdict(record: RunRecord, cell: CellKey) -> Verdict | None:
    """The last verdict of the gate on this cell."""
    for verdict in reversed(record.verdicts):
        if verdict.kind == "gate" and (verdict.server, verdict.workload, verdict.metric) == cell:
            return verdict
    return None


def group_launches(measurements: Iterable[Measurement]) -> dict[CaseKey, list[Measurement]]:
    """The launches of each case, in the order of the run."""
    cases: dict[CaseKey, list[Measurement]] = {}
    for launch in measurements:
        cases.setdefault(CaseKey(launch.server, launch.workload), []).append(launch)
    return cases


class RunWriter:
    """Writes a run's folder; there is one writer for each. Every change is on disk when the method returns."""

    def __init__(self, folder: Path, record: RunRecord) -> None:
        self.folder, self.record = folder, record
        self._write(record)

    def add_measurement(self, measurement: Measurement) -> None:
        """Append a measurement. Raises RecordError; the next write then includes it."""
        self._write(msgspec.structs.replace(self.record, measurements=(*self.record.measurements, measurement)))

    def set_verdicts(
        self, verdicts: tuple[Verdict, ...], spending: Spending | None = None, later: tuple[Later, ...] = ()
    ) -> None:
        """Replace the verdicts, the use of the budget and what it had no time for. Raises RecordError."""
        self._write(msgspec.structs.replace(self.record, verdicts=verdicts, spending=spending, later=later))

    def add_dependencies(self, hypothesis: str, facts: dict[str, str | None]) -> None:
        """Record what the verdict on a hypothesis depends on. Raises RecordError."""
        self._write(msgspec.structs.replace(self.record, depends_on={**self.record.depends_on, hypothesis: facts}))

    def add_not_checked(self, what: str) -> None:
        """Record once that something was not checked, and why. Raises RecordError."""
        reasons = dict.fromkeys((*self.record.not_checked, what))
        self._write(msgspec.structs.replace(self.record, not_checked=tuple(reasons)))

    def set_missing(self, missing: tuple[Missing, ...]) -> None:
        """Record which verdicts the run did not give. Raises RecordError."""
        reasons = dict.fromkeys((*self.record.not_checked, *describe_missing(missing)))
        self._write(msgspec.structs.replace(self.record, missing=missing, not_checked=tuple(reasons)))

    def end(self) -> None:
        """Mark the run as complete. Raises RecordError."""
        self._write(msgspec.structs.replace(self.record, ended=now()))

    def _write(self, record: RunRecord) -> None:
        self.record = record
        write_atomically(self.folder / RECORD, msgspec.json.format(encode_json(record), indent=1))


def new_run_folder(out: Path, name: str | None = None) -> Path:
    """Create a folder in `out` whose name is the run id: `name`, or a new one that sorts by time.

    It says at once which process the run is, so that `tokgate cleanup` knows it. Raises RecordError.
    """
    folder = out / (name or f"{datetime.now(UTC):{_ID}}-{secrets.token_hex(3)}")
    try:
        folder.mkdir(parents=True)
        (folder / OWNER_FILE).write_bytes(msgspec.json.encode(Owner.current()))
    except OSError as error:
        raise RecordError(
            f"cannot be created: {error.strerror}; use another folder with --tokgate-out", path=folder
        ) from error
    return folder


def read_run(path: Path) -> RunRecord:
    """Read the record of a run's folder or of its run.json. Raises RecordError: absent, damaged, or of a newer schema."""
    return read_as(path / RECORD if path.is_dir() else path, RunRecord)


def read_as(file: Path, kind: type[T]) -> T:
    """Read the record in `file` as a `kind`, which may have fewer fields. Raises RecordError like `read_run`."""
    try:
        raw = read_file(file, RECORD_BYTES)
    except OSError as error:
        raise RecordError(f"cannot be read: {error.strerror}", path=file) from error
    if not raw:
        raise RecordError("is empty: the run was interrupted before its first record", path=file)
    try:
        schema = decode_json(raw, _Schema).schema
        if schema > SCHEMA:
            raise RecordError(
                f"has schema {schema}, but this version of tokgate reads up to {SCHEMA}; update tokgate",
                path=file,
            )
        return decode_json(raw, kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecordError(f"is not a valid run record: {error}", path=file) from error


def find_run(out: Path, name: str) -> Path:
    """The folder of a run by path, by id, by the start of its id, or `latest`: the one written last.

    The one written last may not have the last id: a run gets its id before it waits for another run to end.
    Raises RecordError.
    """
    if exists(Path(name)):
        return Path(name)
    runs = sorted(path.parent for path in out.glob(f"*/{RECORD}"))
    if name == "latest" and runs:
        return max(runs, key=lambda run: (run / RECORD).stat().st_mtime_ns)
    if not runs:
        problem = "no run in this folder" if out.is_dir() else "no such folder"
        raise RecordError(f"{problem}. Next: `pytest -m perf`, or pass --runs DIR", path=out)
    matches = [run for run in runs if run.name == name] or [run for run in runs if run.name.startswith(name)]
    if len(matches) > 1:
        listed = ", ".join(run.name for run in matches[-_SHOWN_MATCHES:])
        more = f" (latest {_SHOWN_MATCHES} of {len(matches)})" if len(matches) > _SHOWN_MATCHES else ""
        raise RecordError(f"{name!r} is ambiguous; it matches: {listed}{more}", path=out)
    if not matches:
        newest = ", ".join(run.name for run in runs[: -_SHOWN_NEWEST - 1 : -1])
        raise RecordError(f"no such run: {name!r} (newest: {newest}); {_ACCEPTED}", path=out)
    return matches[0]


def read_runs(out: Path, name: str) -> tuple[RunRecord, ...]:
    """Read the run that `find_run` finds: its record, or those of its boxes; or, by the run id of a box, that of the
    box. Raises RecordError.
    """
    try:
        return list_runs(read_run(find_run(out, name)))
    except RecordError:
        files = [file for file in out.glob(f"*/{RECORD}") if name.startswith(f"{file.parent.name}-")]
        records = [record for file in files for record in list_runs(read_run(file)) if record.run_id == name]
        if not records:
            raise
        return tuple(records)


def read_one_run(out: Path, name: str) -> RunRecord:
    """Like `read_runs`, for exactly one record. Raises RecordError, and UsageError with the ids of the boxes."""
    records = read_runs(out, name)
    if len(records) > 1:
        ids = " or ".join(record.run_id for record in records)
        raise UsageError(f"run {name} has {len(records)} boxes; pass the run ID of one of them: {ids}")
    return records[0]


def find_future_run(out: Path) -> str | None:
    """The last run id in `out` if it lies in the future; None if it does not."""
    newest = max((path.parent.name for path in out.glob(f"[0-9]*Z-*/{RECORD}")), default="")
    return newest if newest > f"{datetime.now(UTC):{_ID}}~" else None


def is_cell(server: str) -> bool:
    """Whether `server` names a declared server, which has a history and may have a baseline.

    An arm of an experiment is named HYPOTHESIS/ARM, and an image of a bisection SERVER/IMAGE.
    """
    return "/" not in server


def compute_age_s(then: str, now: str) -> float:
    """Seconds between two times in ISO 8601."""
    return (datetime.fromisoformat(now) - datetime.fromisoformat(then)).total_seconds()


def check_moments(*moments: str | None) -> None:
    """Raise ValueError for the first that is neither None nor a time in ISO 8601 with a zone."""
    for moment in moments:
        if moment is not None and datetime.fromisoformat(moment).tzinfo is None:
            raise ValueError(f"{moment!r} is a time without a zone")


def now() -> str:
    """The current time: UTC, ISO 8601, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class _Schema(msgspec.Struct):
    schema: int


def make_conditions(workload: Workload, prompts_sha256: str) -> dict[str, str]:
    """What two measurements of a workload must share to be compared, as text by key."""
    shape = {"load": msgspec.json.encode(workload.load).decode(), "prompts_sha256": prompts_sha256}
    return shape | {key: str(getattr(workload, key)) for key in ("requests", "max_tokens", "seed")}
