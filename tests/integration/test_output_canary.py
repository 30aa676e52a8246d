"""A broken model is not a fast one: canary answers of real llama.cpp servers, sound and broken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tokgate.config.catalogue import Catalogue
from tokgate.config.server import EmbeddedLaunch
from tokgate.config.workload import Workload
from tokgate.launch.models.paths import locate_gguf
from tokgate.launch.start import start
from tokgate.measure.measurement import Answers, Canary, Measurement
from tokgate.suite.case import measure_case
from tokgate.suite.instruments import Instruments
from tokgate.suite.plan import Case

SERVER = "embedded-smollm2"
BRIEF = Workload(name="brief", description="of a test", prompts="short-chat", requests=1, max_tokens=8)
BLOCK_BYTES = 20
"""Of Q4_1: 32 weights of 4 bits, their scale and their least."""

Measure = Callable[..., Measurement]


@pytest.fixture
def measure(catalogue: Catalogue, tmp_path: Path) -> Measure:
    """One launch of the embedded server, changed as said, measured once."""

    def measure(stored: Answers | None = None, **override: Any) -> Measurement:
        spec = catalogue.server(SERVER, {**override, "launch": {"threads": 1, **override.get("launch", {})}})
        prompts, canary = catalogue.prompts(BRIEF.prompts), catalogue.prompts("canary")
        cell = Case(server=spec, workload=BRIEF, prompts=prompts, canary=canary)
        with start(spec, log_dir=tmp_path) as server:
            return measure_case(server, cell, Instruments(), launch=1, watch=lambda *_: None, stored=stored)

    return measure


def of(measured: Measurement) -> tuple[Canary, list[str]]:
    """What the answers showed, and what was said to be wrong with them."""
    assert measured.canary is not None
    return measured.canary, [one.detail for one in measured.problems if one.rule == "canary"]


def test_sound_model_answers_the_same_on_every_launch(measure: Measure) -> None:
    first, problems = of(measure())
    assert problems == []
    assert first.agreement is None
    assert first.right >= 3
    again, problems = of(measure(stored=first.answers))
    assert (again.agreement, problems) == (1.0, [])
    more_threads, problems = of(measure(stored=first.answers, launch={"threads": 2}))
    assert more_threads.agreement is not None
    assert problems == []


def test_weights_in_the_wrong_place_are_never_a_pass(measure: Measure, catalogue: Catalogue, tmp_path: Path) -> None:
    launch = catalogue.server(SERVER).launch
    assert isinstance(launch, EmbeddedLaunch)
    sound = locate_gguf(launch.gguf, server=SERVER)
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(exchanged(sound))
    measured = measure(launch={"gguf": str(broken)}, model={"source": None})
    canary, problems = of(measured)
    assert not measured.valid
    assert problems
    assert canary.right == 0


@pytest.mark.long
def test_sampling_is_detected(
    measure: Measure,
) -> None:
    """Sampling that is not greedy is detected with stored answers, and in the worst case without them."""
    sound, _ = of(measure())
    hot = {"top_k": 0, "top_p": 1.0, "min_p": 0.0}
    warm, problems = of(measure(stored=sound.answers, request={"temperature": 1.0, **hot}))
    assert warm.agreement is not None
    assert warm.agreement < 0.5
    assert "of the stored answers' tokens are the same" in problems[0]
    _, problems = of(measure(request={"temperature": 5.0, **hot}))
    assert problems
    assert "none of 8 questions with a known answer was answered correctly" in problems[0]


def exchanged(path: Path) -> bytes:
    """The file with pieces of its later half in each other's place, whole blocks of the right form."""
    data = bytearray(path.read_bytes())
    draw, size = Random(0), BLOCK_BYTES * 2**15
    for _ in range(4):
        one, other = (draw.randrange(len(data) // 2, len(data) - size) // BLOCK_BYTES * BLOCK_BYTES for _ in range(2))
        data[one : one + size], data[other : other + size] = (
            data[other : other + size],
            data[one : one + size],
        )
    return bytes(data)
