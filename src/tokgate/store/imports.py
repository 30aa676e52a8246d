"""Imported results: the values of other tools, kept as records next to the runs and marked as imported.

Each imported file is one folder `runs/import-<digest>/`, so that importing it again changes nothing. Only the history
reads imports: an import has no run record and therefore cannot become a baseline.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tokgate.machine.fingerprint import Fact, Fingerprint, Value, Weight
from tokgate.store.files import encode_json, write_atomically
from tokgate.store.runs import SCHEMA, check_moments, now

IMPORT = "import.json"


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """One value of another tool.

    started: when it was measured; UTC, ISO 8601, to the millisecond.
    value: in the unit of the metric's name, finite.
    conditions: what another value must share to be compared with it.
    machine: facts of the box that another value must share.
    suspects: facts that may explain a change (builds, drivers).
    valid: False if the tool reported failures.
    """

    started: str
    server: str
    workload: str
    metric: str
    value: float
    conditions: dict[str, str] = {}
    machine: dict[str, Value] = {}
    suspects: dict[str, Value] = {}
    valid: bool = True

    def __post_init__(self) -> None:
        check_moments(self.started)

    @property
    def fingerprint(self) -> Fingerprint:
        weighed = ((Weight.MUST_MATCH, self.machine), (Weight.MAY_DIFFER, self.suspects))
        return Fingerprint({key: Fact(value, weight) for weight, facts in weighed for key, value in facts.items()})


class ImportRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The content of one file.

    run_id: name of its folder.
    imported: when it was imported; UTC.
    source: the tool and the name of the file.
    """

    schema: int = SCHEMA
    run_id: str
    imported: str
    source: str
    rows: tuple[Imported, ...]


def write_import(out: Path, rows: Sequence[Imported], *, source: str) -> tuple[ImportRecord, bool]:
    """Write `rows` below `out`; also returns whether they are new. Raises RecordError."""
    digest = hashlib.sha256(encode_json((source, rows), is_sorted=True)).hexdigest()[:12]
    record = ImportRecord(run_id=f"import-{digest}", imported=now(), source=source, rows=tuple(rows))
    file = out / record.run_id / IMPORT
    if file.exists():
        return record, False
    write_atomically(file, msgspec.json.format(encode_json(record), indent=1))
    return record, True
