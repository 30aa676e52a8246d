"""The results of several boxes: the merged record, boxes that were lost, and the exit code."""

from __future__ import annotations

import pytest

from tokgate.machine.fingerprint import Fact, Fingerprint, Weight
from tokgate.plugin.boxes import BoxResult, choose_exit_code, merge_records
from tokgate.store.runs import RunRecord, list_runs


def record(name: str) -> RunRecord:
    return RunRecord(
        run_id=f"r-{name}",
        started="2026-01-01T00:00:00.000+00:00",
        tokgate="0",
        command=(),
        profile="brief",
        baselines="local/x",
        fingerprint=Fingerprint({"cpu_model": Fact(name, Weight.MUST_MATCH)}),
        conditions={},
    )


def result(name: str, code: int | None, *, kept: bool = True, why: str = "") -> BoxResult:
    return BoxResult(
        host=f"ssh://{name}",
        place=f"/runs/{name}",
        code=code,
        why=why,
        record=record(name) if kept else None,
    )


def test_records_are_merged() -> None:
    """Each box keeps its record; a box that was lost is listed with the place of its record."""
    boxes = [result("a", 0), result("b", None, kept=False, why="it was lost (cut)")]
    whole = merge_records(boxes, run_id="r", started="2026-01-01T00:00:00.000+00:00", command=("pytest",))
    assert [one.run_id for one in list_runs(whole)] == ["r-a"]
    assert whole.boxes[0].host == "ssh://a"
    assert whole.profile == "brief"
    assert not whole.measurements
    assert whole.not_checked == ("ssh://b: it was lost (cut). Its record up to then: /runs/b",)


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ((0, 0), 0),
        ((0, 1), 1),
        ((6, 1), 1),
        ((None, 1), 1),
        ((0, None), 6),
        ((0, 2), 6),  # a box that was interrupted while the others went on
        ((3, 0), 6),
        ((5, 0), 5),
        ((5, 4), 4),
        ((6, 4), 6),
    ],
)
def test_exit_code_is_the_most_urgent(codes: tuple[int | None, ...], expected: int) -> None:
    assert choose_exit_code([result(str(at), code) for at, code in enumerate(codes)]) == expected
