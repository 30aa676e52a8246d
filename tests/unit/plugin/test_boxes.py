"""The runs of many boxes as one: what is kept, what is said of the lost, and the exit code."""

from __future__ import annotations

import pytest

from tokgate.machine.fingerprint import Fact, Fingerprint, Weight
from tokgate.plugin.boxes import Returned, merged, worst
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


def returned(name: str, code: int | None, *, kept: bool = True, why: str = "") -> Returned:
    one = record(name) if kept else None
    return Returned(host=f"ssh://{name}", place=f"/runs/{name}", code=code, why=why, record=one)


def test_each_box_keeps_its_record_and_the_lost_are_told_with_their_place() -> None:
    boxes = [returned("a", 0), returned("b", None, kept=False, why="it was lost (cut)")]
    whole = merged(boxes, run_id="r", started="2026-01-01T00:00:00.000+00:00", command=("pytest",))
    assert [one.run_id for one in list_runs(whole)] == ["r-a"]
    assert whole.boxes[0].host == "ssh://a"
    assert whole.profile == "brief"
    assert not whole.measurements
    assert whole.not_checked == ("ssh://b: it was lost (cut). What it recorded until then: /runs/b",)


@pytest.mark.parametrize(
    ("codes", "code"),
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
def test_the_exit_code_is_the_worst(codes: tuple[int | None, ...], code: int) -> None:
    assert worst([returned(str(at), one) for at, one in enumerate(codes)]) == code
