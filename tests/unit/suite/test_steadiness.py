"""What earlier runs and the last trial say about this machine, in one line."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tokgate.config.catalogue import Catalogue
from tokgate.machine.fingerprint import Fingerprint, compute_fingerprint_id, read_fingerprint
from tokgate.measure.measurement import Measurement
from tokgate.store.runs import RunRecord, RunWriter
from tokgate.store.steadiness import FILE, Trial, read_trial, write_trial
from tokgate.suite.steadiness import run_trial, summarize_steadiness

HERE = read_fingerprint()
UNKNOWN = "steadiness: unknown: no earlier runs; run `tokgate doctor --steadiness`"


def write_run(
    out: Path, day: int, bare: Measurement, *values: float, fingerprint: Fingerprint = HERE, valid: bool = True
) -> None:
    """The record of a run with one launch for each value."""
    launches = tuple(
        msgspec.structs.replace(bare, launch=number, gated={"decode_tps": value}, valid=valid)
        for number, value in enumerate(values, start=1)
    )
    record = RunRecord(
        run_id=f"202601{day:02}T000000Z-abcdef",
        started=f"2026-01-{day:02}T00:00:00.000+00:00",
        tokgate="0",
        command=("pytest",),
        profile="mine",
        baselines="box",
        fingerprint=fingerprint,
        conditions={"chat": {"requests": "4"}},
        measurements=launches,
    )
    RunWriter(out / record.run_id, record)


def trial(*values: float, disturbed: int = 0, server: str | None = "s") -> Trial:
    return Trial(
        machine=compute_fingerprint_id(HERE),
        measured="2026-01-01T00:00:00.000+00:00",
        server=server,
        values=values,
        disturbed=disturbed,
    )


def test_without_runs_it_is_unknown(tmp_path: Path, bare_measurement: Measurement) -> None:
    """So is it with invalid runs, runs of other machines, and a damaged result."""
    assert summarize_steadiness(tmp_path / "absent", family=4) == UNKNOWN
    write_run(tmp_path, 1, bare_measurement, 10.0, 11.0, valid=False)
    write_run(tmp_path, 2, bare_measurement, 10.0, 11.0, fingerprint=Fingerprint({}))
    (tmp_path / FILE).write_text("{")
    assert summarize_steadiness(tmp_path, family=4) == UNKNOWN


def test_earlier_runs_show_both_scatters(tmp_path: Path, bare_measurement: Measurement) -> None:
    for day, level in enumerate((100.0, 90.0, 110.0), start=1):
        write_run(tmp_path, day, bare_measurement, level, level * 1.01, level * 0.99)
    text = summarize_steadiness(tmp_path, family=4)
    assert text.startswith("steadiness: launches scatter by 1 % within a run and runs by 10")
    assert "% more here (3 runs); a stored baseline detects drops from " in text
    assert text.endswith("; use --tokgate-against for smaller ones")


@pytest.mark.parametrize(
    ("kept", "beginning"),
    [
        (trial(100.0, 101.0, 102.0), "steadiness: launches scatter by 0.99 % here (1 run); a stored baseline detects"),
        (
            trial(100.0, disturbed=7),
            "steadiness: unknown: other programs disturbed 7 launches of the trial; repeat it on a quiet machine",
        ),
    ],
)
def test_trial_is_kept_for_later_runs(tmp_path: Path, kept: Trial, beginning: str) -> None:
    write_trial(tmp_path, kept)
    assert summarize_steadiness(tmp_path, family=4).startswith(beginning)
    assert read_trial(tmp_path, machine="another") is None


def test_memory_counts_only_without_runs(tmp_path: Path, bare_measurement: Measurement) -> None:
    """Servers scatter more than readings of the memory do."""
    write_trial(tmp_path, trial(20.0, 20.01, 19.99, server=None))
    assert "scatter by 0.05 %" in summarize_steadiness(tmp_path, family=4)
    write_run(tmp_path, 1, bare_measurement, 100.0, 104.0, 96.0)
    assert "scatter by 4" in summarize_steadiness(tmp_path, family=4)


def test_without_an_engine_memory_is_read(tmp_path: Path) -> None:
    said: list[str] = []
    done = run_trial(Catalogue(tmp_path / "fixtures"), tmp_path, seconds=0.1, say=said.append)
    assert done.server is None
    assert min(done.values) > 0
    assert said[1].startswith("reads memory instead of starting a server, and servers scatter more than that: ")
    assert read_trial(tmp_path, machine=done.machine) == done
