"""What a person reads before accepting a baseline."""

from __future__ import annotations

import datetime

import msgspec

from tokgate.measure.measurement import Answers
from tokgate.report.baseline import describe_acceptance
from tokgate.store.baselines import Baseline, BaselineCell


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
    told = describe_acceptance(old, msgspec.structs.replace(old, canary=turned))
    assert "  sky: answers 'grey', was 'blue'" in told
    assert "week" not in told
    assert "answers" not in describe_acceptance(old, old)
    assert "answers" not in describe_acceptance(None, old)
