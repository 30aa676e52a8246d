"""The bounds are those of the arithmetic on the owner's model and chip."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.measure.roofline import above_roofline, bandwidth_use, ceilings, prefill_share
from tokgate.spec.catalogue import Catalogue
from tokgate.spec.hardware import Hardware
from tokgate.spec.model_facts import ModelFacts, Quantisation, facts_of_config

FIXTURES = Path(__file__).parents[3] / "fixtures"
GFX1151 = Catalogue(FIXTURES).hardware("gfx1151")


def qwen(quantisation: Quantisation) -> ModelFacts:
    return facts_of_config(FIXTURES / "models" / "qwen2.5-14b.json", quantisation)


# GB read per token, tok/s at 256 GB/s and at 212 GB/s: bytes of the published files over the bandwidth.
@pytest.mark.parametrize(
    ("quantisation", "gigabytes", "on_paper", "measured"),
    [("FP16", 27.98, 9.15, 7.58), ("AWQ", 8.42, 30.4, 25.2), ("Q4_K_M", 8.55, 29.9, 24.8)],
)
def test_decode_is_bound_by_the_bytes_of_the_format(
    quantisation: Quantisation, gigabytes: float, on_paper: float, measured: float
) -> None:
    facts = qwen(quantisation)
    assert facts.parameters == pytest.approx(14.77e9, rel=0.01)
    assert facts.kv_bytes_per_token == pytest.approx(0.197e6, rel=0.01)
    assert facts.bytes_per_token / 1e9 == pytest.approx(gigabytes, rel=0.01)
    paper, copy = ceilings(
        GFX1151, bytes_per_token=facts.bytes_per_token, parameters_per_token=facts.parameters_per_token
    )
    assert paper.decode_tps == pytest.approx(on_paper, rel=0.01)
    assert copy.decode_tps == pytest.approx(measured, rel=0.01)


def test_prefill_is_bound_by_arithmetic_and_a_stream_by_memory() -> None:
    facts = qwen("FP16")
    paper, measured = ceilings(
        GFX1151, bytes_per_token=facts.bytes_per_token, parameters_per_token=facts.parameters_per_token
    )
    assert paper.prefill_tps == pytest.approx(2120, rel=0.01)
    assert measured.prefill_tps == pytest.approx(1320, rel=0.01)
    assert measured.streams == pytest.approx(170, rel=0.05)
    share = prefill_share(GFX1151, parameters_per_token=facts.parameters_per_token, prefill_tps=1060)
    assert share == pytest.approx(0.5, rel=0.01)


# What the owner saw: 6.4 tok/s of FP16 and 24 of Q4_K_M.
@pytest.mark.parametrize(
    ("gigabytes", "tps", "effective", "share"), [(27.98, 6.4, 179, 0.84), (8.55, 24, 205, 0.97)]
)
def test_the_owners_rates_as_bandwidth(gigabytes: float, tps: float, effective: float, share: float) -> None:
    use = bandwidth_use(GFX1151, bytes_per_token=gigabytes * 1e9, decode_tps=tps)
    assert use.effective_GBps == pytest.approx(effective, rel=0.01)
    assert use.of_measured == pytest.approx(share, rel=0.01)
    assert above_roofline(GFX1151, bytes_per_token=gigabytes * 1e9, decode_tps=tps) is None


def test_above_the_memory_on_paper_is_a_problem_with_its_figures() -> None:
    # 230 GB/s was published and is above the measured copy: that bandwidth is no ceiling.
    assert above_roofline(GFX1151, bytes_per_token=8.55e9, decode_tps=230 / 8.55) is None
    problem = above_roofline(GFX1151, bytes_per_token=8.55e9, decode_tps=33)
    assert problem is not None
    assert problem.rule == "above_roofline"
    assert "33 tok/s would read 282.1 GB/s, 110% of the 256 GB/s that gfx1151 has on paper" in problem.detail


def test_an_unknown_limit_bounds_nothing() -> None:
    plain = Hardware(name="x", description="", source="", bandwidth_GBps=100)
    paper, measured = ceilings(plain, bytes_per_token=1e9, parameters_per_token=5e8)
    assert (paper.decode_tps, paper.prefill_tps, paper.streams) == (100, None, None)
    assert (measured.decode_tps, measured.prefill_tps) == (None, None)
    assert prefill_share(plain, parameters_per_token=5e8, prefill_tps=1) is None


@given(st.floats(1e6, 1e12), st.floats(1e-3, 1e5))
def test_the_bound_and_the_share_agree(bytes_per_token: float, tps: float) -> None:
    use = bandwidth_use(GFX1151, bytes_per_token=bytes_per_token, decode_tps=tps)
    assert use.of_theoretical == pytest.approx(tps / use.bound_tps)
    problem = above_roofline(GFX1151, bytes_per_token=bytes_per_token, decode_tps=tps)
    assert (problem is not None) == (use.of_theoretical > 1)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan])
def test_no_rate_has_no_bandwidth(bad: float) -> None:
    with pytest.raises(ValueError, match=f"decode_tps is {bad}"):
        bandwidth_use(GFX1151, bytes_per_token=1e9, decode_tps=bad)


def test_the_servers_state_what_the_arithmetic_gives() -> None:
    of = {
        "vllm-current": "FP16",
        "vllm-awq": "AWQ",
        "llamacpp-vulkan": "Q4_K_M",
        "llamacpp-vulkan-f16": "FP16",
    }
    for name, quantisation in of.items():
        model = Catalogue(FIXTURES).server(name).model
        facts = qwen(quantisation)  # type: ignore[arg-type]
        assert model.parameters == pytest.approx(facts.parameters, rel=1e-3), name
        assert model.bytes_per_token == pytest.approx(facts.bytes_per_token, rel=0.01), name
        assert model.kv_bytes_per_token == facts.kv_bytes_per_token, name
