"""Imported results: what other tools measured, kept as a record beside the runs and marked as what it is.

One file imported is one folder `runs/import-<digest>/`, so that importing it again changes nothing. An import
is read by history only: it has no run record, and so can be no baseline.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from tokgate.machine.fingerprint import Fact, Fingerprint, Value, Weight
from tokgate.store.files import write_atomically
from tokgate.store.runs import SCHEMA

IMPORT = "import.json"


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of another tool.

    started: UTC, ISO 8601, to the millisecond. value: in the unit of the metric's name, finite.
    conditions: what it must share with another to be compared; machine: facts of the box, likewise.
    suspects: what may explain a change (builds, drivers). valid: False where the tool itself tells of failures.
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

    @property
    def fingerprint(self) -> Fingerprint:
        weighed = ((Weight.MUST_MATCH, self.machine), (Weight.MAY_DIFFER, self.suspects))
        return Fingerprint(
            {key: Fact(value, weight) for weight, facts in weighed for key, value in facts.items()}
        )


class ImportRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What one file held. source: the tool and the name of the file; imported: when, UTC."""

    schema: int = SCHEMA
    run_id: str
    imported: str
    source: str
    rows: tuple[Imported, ...]


def write_import(out: Path, rows: Sequence[Imported], *, source: str) -> tuple[ImportRecord, bool]:
    """Keep `rows` below `out`; also whether they are new there. Raises RecordError."""
    digest = hashlib.sha256(msgspec.json.encode((source, rows), order="sorted")).hexdigest()[:12]
    record = ImportRecord(
        run_id=f"import-{digest}",
        imported=datetime.now(UTC).isoformat(timespec="milliseconds"),
        source=source,
        rows=tuple(rows),
    )
    file = out / record.run_id / IMPORT
    if file.exists():
        return record, False
    write_atomically(file, msgspec.json.format(msgspec.json.encode(record), indent=1))
    return record, True
