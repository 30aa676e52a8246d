"""What follows from several hypotheses follows only when each came out so."""

from __future__ import annotations

from pathlib import Path

import pytest

from tokgate._exceptions import SpecError
from tokgate.config.catalogue import Catalogue
from tokgate.judge.conclusion import draw_conclusions
from tokgate.judge.verdict import Outcome, Verdict

FIXTURES = Path(__file__).parents[3] / "fixtures"
RULE = Catalogue(FIXTURES).profile("gfx1151").conclusions


def found(**outcomes: str) -> list[Verdict]:
    return [
        Verdict(
            kind="hypothesis",
            server="a | b",
            workload="w",
            metric="decode_tps",
            outcome=Outcome(outcome),
            hypothesis=name.replace("_", "-"),
        )
        for name, outcome in outcomes.items()
    ]


@pytest.mark.parametrize(
    ("outcomes", "says"),
    [
        ({"shm_size": "confirmed"}, ["shared memory was a bottleneck"]),
        ({"shm_size": "arm_failed"}, ["64 MiB of shared memory is too little to start"]),
        ({"shm_size": "refuted"}, []),
        ({"shm_size": "refuted", "architecture_limits_fp16": "confirmed"}, ["the architecture limits vLLM"]),
        ({"shm_size": "refuted", "architecture_limits_fp16": "refuted"}, ["the memory is the limit"]),
        ({"shm_size": "inconclusive", "architecture_limits_fp16": "refuted"}, []),
        (
            {"shm_size_as_written": "confirmed", "shm_size": "confirmed"},
            ["compares a server with itself", "shared memory was a bottleneck"],
        ),
        ({}, []),
    ],
)
def test_the_rule_of_the_analysis_has_a_third_answer(outcomes: dict[str, str], says: list[str]) -> None:
    sentences = draw_conclusions(RULE, found(**outcomes))
    assert len(sentences) == len(says)
    for sentence, part in zip(sentences, says, strict=True):
        assert part in sentence


def test_a_conclusion_from_an_untested_hypothesis(tmp_path: Path) -> None:
    """A conclusion from a hypothesis that the profile does not test is an error."""
    profile = tmp_path / "mine.yaml"
    profile.write_text("description: d\nconclusions:\n  - when: {shm-sise: confirmed}\n    then: it is so\n")
    with pytest.raises(SpecError, match="no such hypothesis in this profile: `shm-sise`") as caught:
        Catalogue(FIXTURES).profile(str(profile))
    assert (caught.value.line, caught.value.key) == (3, "conclusions[0].when.shm-sise")
