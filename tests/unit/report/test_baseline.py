"""What a person reads before accepting a baseline."""

from __future__ import annotations

import datetime

import msgspec

from tokgate.measure.measurement import Answers
from tokgate.report.baseline import describe_acceptance
from tokgate.store.baselines import Baseline, BaselineCell, Candidate


def describe(old: Baseline | None, new: Baseline, *objections: str) -> str:
    return describe_acceptance(Candidate(old=old, new=new, objections=objections))


def test_what_the_model_answers_otherwise_is_told() -> None:
    said = Answers(model="m", engine="vllm", prompts_sha256="a", texts={"sky": "blue", "week": "7"})
    old = Baseline(
        server="s",
        provenance="measured",
        source="run 1",
        date=datetime.date(2026, 1, 1),
        canary=said,
        cells={"chat": BaselineCell(metrics={"decode_tps": (10.0,)})},
    )
    turned = msgspec.structs.replace(said, texts={"sky": "grey", "week": "7"})
    told = describe(old, msgspec.structs.replace(old, canary=turned))
    assert "  sky: answers 'grey', was 'blue'" in told
    assert "week" not in told
    assert "answers" not in describe(old, old)
    assert "answers" not in describe(None, old)


def test_what_speaks_against_it_is_shown() -> None:
    """With the reason why the old one was accepted."""
    new = Baseline(server="s", provenance="measured", source="run 2", date=datetime.date(2026, 1, 2), cells={})
    old = msgspec.structs.replace(new, source="run 1", forced="a new kernel")
    text = describe(old, new, "the run did not finish")
    assert "replacing run 1 of 2026-01-02 (accepted by force: a new kernel)" in text
    assert "  against it: the run did not finish" in text
