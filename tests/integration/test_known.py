"""A hypothesis that a run has settled is not tested again while nothing that it depends on changes."""

from __future__ import annotations

from typing import Any


def read_verdict(project: Any) -> dict[str, Any]:
    (verdict,) = project.record()["verdicts"]
    assert isinstance(verdict, dict)
    return verdict


def test_settled_hypothesis_is_not_tested_again(project: Any) -> None:
    """The first run settles it; the second knows it, in a moment; --tokgate-again or a changed arm tests it again."""
    same = {"server": "embedded-smollm2", "override": {"description": "the same server"}}
    project.hypothesis("same", a={"server": "embedded-smollm2"}, b=same, claim={"untreated": True})
    first = project.perf("--tokgate-profile", "same")
    assert first.code == 0, first.output
    assert read_verdict(project)["outcome"] == "confirmed"
    measured = project.record()["run_id"]

    planned = project.tokgate("plan", "--profile", "same")
    assert f"confirmed, known from run {measured}" in " ".join(planned.output.split())
    second = project.perf("--tokgate-profile", "same")
    assert second.code == 0, second.output
    known = read_verdict(project)
    assert known["outcome"] == "confirmed"
    assert known["known"]["run"] == measured
    assert f"known: same: confirmed, from run {measured}, " in " ".join(second.output.split())
    assert not list((project.runs[-1] / "logs").glob("*")), "nothing was started"

    again = project.perf("--tokgate-profile", "same", "--tokgate-again")
    assert again.code == 0, again.output
    assert read_verdict(project)["known"] is None
    assert "tested again: --tokgate-again" in read_verdict(project)["notes"]

    slots = {"server": "embedded-smollm2", "override": {"launch": {"parallel": 2}}}
    project.hypothesis("same", a={"server": "embedded-smollm2"}, b=slots, claim={"untreated": True})
    changed = project.perf("--tokgate-profile", "same")
    assert changed.code == 1, changed.output
    assert read_verdict(project)["outcome"] == "refuted"
    assert any("arm b launch.parallel: 4 → 2" in note for note in read_verdict(project)["notes"])
