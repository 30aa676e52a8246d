"""Answers of a sound model, of broken ones, and of one that was exchanged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.config.workload import Prompt, PromptSet
from tokgate.measure.canary import check_answers, compute_agreement, compute_entropy, is_repetitive
from tokgate.measure.measurement import Answers

KNOWN = {"capital": "Paris", "week": "7", "bees": "honey"}
PROMPTS = PromptSet(
    name="canary",
    sha256="0" * 64,
    prompts=tuple(
        Prompt(id=key, messages=({"role": "user", "content": key},), answer=answer) for key, answer in KNOWN.items()
    ),
)


def answers(*texts: str, **changes: str) -> Answers:
    origin = {"model": "smollm2", "engine": "llama.cpp", "prompts_sha256": PROMPTS.sha256} | changes
    return Answers(texts=dict(zip(KNOWN, texts, strict=True)), **origin)


# As the embedded llama.cpp gave them: SmolLM2-135M as it is, with 10 % of its weights in the wrong place,
# and sampled at temperature 5.
SOUND = answers("The capital of France is Paris.", "A week is 7 days.", "beesbees")
NAN = answers(*["666666666666666666666666666666666666666666666666"] * 3)
SOUP = answers(
    "allowed spaceship São kan glowing nurturing modes exist reasoning Libr Pleistoceneıbidblu lever Pregnancy",
    "Norse Intergovernmental Geographical :- Reducing} PLank Vietnam Kle skim predictable fancyaguarheticsronomy",
    "ANS ambulancestartedTre wrapping memorable interconnectedplicounder VoluntshedOp Taking condemnation powered",
)


def wrong(given: Answers, stored: Answers | None = None, *, sensible: bool = True) -> list[str]:
    _, problems = check_answers(PROMPTS, given, stored, sensible=sensible)
    assert {problem.rule for problem in problems} <= {"canary"}
    return [problem.detail for problem in problems]


def test_sound_answers() -> None:
    """Sound answers have no problems, with and without stored answers."""
    canary, problems = check_answers(PROMPTS, SOUND, SOUND, sensible=True)
    assert problems == ()
    assert (canary.agreement, canary.right, canary.known, canary.repeating) == (1.0, 2, 3, 0)
    assert wrong(SOUND) == []


def test_repeated_character_is_garbage() -> None:
    """Also without stored answers."""
    entropy, repeating, known = wrong(NAN)
    assert "0.1 bits of entropy per character (limit 2.5): capital '666" in entropy
    assert "3 of 3 answers are repetitive" in repeating
    assert "none of 3 questions with a known answer was answered correctly" in known


def test_nonsense_has_no_known_answer() -> None:
    [problem] = wrong(SOUP)
    assert problem.startswith(
        "none of 3 questions with a known answer was answered correctly: capital 'allowed spaceship"
    )


def test_different_answers_are_a_problem() -> None:
    """The detail has the stored answer and the new one."""
    other = answers("Paris is a city.", "It has 7 days, in most countries.", "bees make honey")
    [problem] = wrong(other, SOUND)
    assert "0 % of the stored answers' tokens are the same (limit 50 %)" in problem
    assert "was 'The capital of France is Paris.' and is 'Paris is a city.'" in problem


def test_one_different_answer_is_valid() -> None:
    """One different answer does not mean a broken model."""
    turned = answers("The capital of France is Paris.", "A week is 7 days.", "Honey, which they make of nectar.")
    canary, problems = check_answers(PROMPTS, turned, SOUND, sensible=True)
    assert canary.agreement == pytest.approx(2 / 3)
    assert problems == ()


@pytest.mark.parametrize("origin", [{"model": "other"}, {"engine": "vllm"}, {"prompts_sha256": "1" * 64}])
def test_other_origins_are_not_compared(origin: dict[str, str]) -> None:
    """Stored answers of another model, engine or set of questions are not compared."""
    stored = answers("x", "y", "z", **origin)
    canary, problems = check_answers(PROMPTS, SOUND, stored, sensible=True)
    assert canary.agreement is None
    assert problems == ()


def test_random_weights() -> None:
    """Random weights give garbage by design, but always the same."""
    assert wrong(NAN, sensible=False) == []
    assert wrong(NAN, NAN, sensible=False) == []
    assert len(wrong(SOUP, NAN, sensible=False)) == 1


def test_empty_answers_are_garbage() -> None:
    assert len(wrong(answers("", "", ""))) == 2


def test_repetitive_answers() -> None:
    """A long answer that repeats itself is repetitive."""
    assert is_repetitive("it is what it is and " * 6)
    assert not is_repetitive(
        "Two plus two is a classic math problem that has been debated for centuries. In ancient Chinese culture,"
    )
    assert not is_repetitive("7")


@given(st.text(), st.text())
def test_agreement_is_a_share(one: str, other: str) -> None:
    """It is 1 only for the same tokens."""
    assert compute_agreement(one, one) == 1.0
    assert 0.0 <= compute_agreement(one, other) == compute_agreement(other, one) <= 1.0


@given(st.text(min_size=1))
def test_entropy_bounds(text: str) -> None:
    """Entropy lies between 0 and that of distinct characters."""
    assert 0.0 <= compute_entropy(text) <= compute_entropy("".join(map(chr, range(65, 65 + len(text))))) + 1e-9
