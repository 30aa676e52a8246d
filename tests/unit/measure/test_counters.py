"""vLLM's counters against the client's view, as both were recorded on a real vLLM 0.32.0 (CPU).

`agree`: 16 requests, 8 streams. `late`: 8 requests, 4 streams, on cores that other programs used: first tokens
lay in the server's front end, so that the client saw TTFT longer and decode shorter than the engine did.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tokgate.drive.sample import Sample
from tokgate.drive.scrape import subtract, sum_samples
from tokgate.engines.vllm import ENGINE
from tokgate.measure.reconcile import check_counters

VLLM = ENGINE.counters
RECORDED = Path(__file__).parent / "recorded"


def recorded(name: str) -> tuple[list[Sample], dict[str, float]]:
    """What the client saw, and how much the server's counters grew meanwhile."""
    start = f"vllm-0.32.0-{name}"
    before, after = (sum_samples((RECORDED / f"{start}-{when}.txt").read_text()) for when in ("before", "after"))
    samples = msgspec.json.decode((RECORDED / f"{start}-samples.json").read_bytes(), type=list[Sample])
    return samples, subtract(before, after)


def test_client_and_counters_agree() -> None:
    """There is no problem when client and counters saw the same requests."""
    samples, grown = recorded("agree")
    assert grown["vllm:generation_tokens_total"] == 1024
    assert check_counters(samples, grown, VLLM) == ()


def test_late_first_tokens_are_invalid() -> None:
    """First tokens that came late make the launch invalid; the detail has both sides."""
    first, decode = check_counters(*recorded("late"), VLLM)
    assert {first.rule, decode.rule} == {"client_server_disagree"}
    assert first.detail.startswith("8 requests: mean 171.1 ms by the client, 105.8 ms by vllm:time_to_first_token")
    assert decode.detail == (
        "8 requests: mean 542.3 ms by the client, 568.2 ms by vllm:request_decode_time_seconds (limit 2 %)"
    )


@pytest.mark.parametrize("name", ["generation_tokens", "prompt_tokens"])
@pytest.mark.parametrize(("factor", "problems"), [(1.019, 0), (1.03, 1), (0.97, 1), (0.0, 1)])
def test_different_token_counts_are_invalid(name: str, factor: float, problems: int) -> None:
    samples, grown = recorded("agree")
    grown[f"vllm:{name}_total"] *= factor
    found = check_counters(samples, grown, VLLM)
    assert len(found) == problems
    assert all(f"vllm:{name}_total grew by" in problem.detail for problem in found)


@pytest.mark.parametrize(("factor", "problems"), [(1.1, 1), (0.9, 0), (0.4, 1)])
def test_early_first_token_is_invalid(factor: float, problems: int) -> None:
    """Longer in the engine than at the client is impossible; the other way is the front end, up to a limit."""
    samples, grown = recorded("agree")
    grown["vllm:time_to_first_token_seconds_sum"] = 16 * 0.12224 * factor
    assert len(check_counters(samples, grown, VLLM)) == problems


def test_missing_counters_are_not_compared() -> None:
    samples, _ = recorded("agree")
    assert check_counters(samples, {}, VLLM) == ()
    assert check_counters([], recorded("agree")[1], VLLM) == ()
    assert check_counters(*recorded("late"), None) == ()


def test_failed_requests_are_not_compared() -> None:
    """A failed request is a problem of its own."""
    samples, grown = recorded("late")
    samples[0] = msgspec.structs.replace(samples[0], error="reset")
    assert check_counters(samples, grown, VLLM) == ()
