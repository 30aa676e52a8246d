"""The bounds are those of the arithmetic on the owner's model and chip."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.config.catalogue import Catalogue
from tokgate.config.hardware import Hardware
from tokgate.config.model_facts import ModelFacts, Quantisation, compute_config_facts
from tokgate.measure.measurement import Roofline
from tokgate.measure.roofline import Use, check_roofline, compute_roofline, compute_use

FIXTURES = Path(__file__).parents[3] / "fixtures"
GFX1151 = Catalogue(FIXTURES).hardware("gfx1151")


def qwen(quantisation: Quantisation) -> ModelFacts:
    return compute_config_facts(FIXTURES / "models" / "qwen2.5-14b.json", quantisation)


def roof(bytes_per_token: float, parameters_per_token: float | None = None, streams: int = 1) -> Roofline:
    """What the box allows such a model."""
    found = compute_roofline(
        GFX1151,
        bytes_per_token=bytes_per_token,
        parameters_per_token=parameters_per_token,
        streams=streams,
    )
    assert found is not None
    return found


def decode(gigabytes: float, tps: float) -> Use:
    """One stream's rate as use of the box's memory."""
    used = compute_use(roof(gigabytes * 1e9), "decode_tps", tps)
    assert used is not None
    return used


# GB read per token, tok/s at 256 GB/s and at 212 GB/s: bytes of the published files over the bandwidth.
@pytest.mark.parametrize(
    ("quantisation", "gigabytes", "on_paper", "measured"),
    [("FP16", 27.98, 9.15, 7.58), ("AWQ", 8.42, 30.4, 25.2), ("Q4_K_M", 8.55, 29.9, 24.8)],
)
def test_decode_is_limited_by_the_format(
    quantisation: Quantisation, gigabytes: float, on_paper: float, measured: float
) -> None:
    """The bytes of the weights' format limit decode."""
    facts = qwen(quantisation)
    assert facts.parameters == pytest.approx(14.77e9, rel=0.01)
    assert facts.kv_bytes_per_token == pytest.approx(0.197e6, rel=0.01)
    assert facts.bytes_per_token / 1e9 == pytest.approx(gigabytes, rel=0.01)
    limits = roof(facts.bytes_per_token, facts.parameters_per_token)
    assert limits.paper.decode_tps == pytest.approx(on_paper, rel=0.01)
    assert limits.measured.decode_tps == pytest.approx(measured, rel=0.01)


def test_prefill_and_decode_limits() -> None:
    """Arithmetic limits prefill, memory limits decode."""
    facts = qwen("FP16")
    limits = roof(facts.bytes_per_token, facts.parameters_per_token)
    paper, measured = limits.paper, limits.measured
    assert paper.prefill_tps == pytest.approx(2120, rel=0.01)
    assert measured.prefill_tps == pytest.approx(1320, rel=0.01)
    assert measured.streams == pytest.approx(170, rel=0.05)
    used = compute_use(limits, "prefill_tps", 1060)
    assert used is not None
    assert used.of_paper == pytest.approx(0.5, rel=0.01)
    assert used.effective_tflops == pytest.approx(29.7, rel=0.01)
    assert used.possible == paper.prefill_tps


# What the owner saw: 6.4 tok/s of FP16 and 24 of Q4_K_M.
@pytest.mark.parametrize(("gigabytes", "tps", "effective", "share"), [(27.98, 6.4, 179, 0.84), (8.55, 24, 205, 0.97)])
def test_reported_rates_as_bandwidth(gigabytes: float, tps: float, effective: float, share: float) -> None:
    """The rates that the owner reported, as memory bandwidth."""
    used = decode(gigabytes, tps)
    assert used.effective_GBps == pytest.approx(effective, rel=0.01)
    assert used.of_measured == pytest.approx(share, rel=0.01)
    assert not [*check_roofline(roof(gigabytes * 1e9), {"decode_tps": tps})]


def test_above_roofline_is_a_problem() -> None:
    """A rate above the theoretical bandwidth is a problem, with its values."""
    # 230 GB/s was published and is above the measured copy: that bandwidth is no ceiling.
    assert not [*check_roofline(roof(8.55e9), {"decode_tps": 230 / 8.55})]
    (problem,) = check_roofline(roof(8.55e9), {"decode_tps": 33, "prefill_tps": 1.0})
    assert problem.rule == "above_roofline"
    assert "33.00 tok/s (decode_tps) would read 282.1 GB/s, 110.2 % of the theoretical limit of gfx1151 (256 GB/s" in (
        problem.detail
    )


def test_streams_share_the_weights() -> None:
    """Several streams share each reading of the weights, until arithmetic limits them."""
    few, many = roof(27.98e9, 13.99e9, streams=16), roof(27.98e9, 13.99e9, streams=1000)
    for one, bound in ((few, 16 * 9.15), (many, 2120)):
        used = compute_use(one, "output_tps", 100.0)
        assert used is not None
        assert used.possible == pytest.approx(bound, rel=0.01)
        assert used.effective_GBps is None
        assert [*check_roofline(one, {"output_tps": bound * 1.02})]
    assert compute_use(few, "decode_tps", 5.0) is None  # a stream's own rate depends on what the others do


def test_unknown_limits() -> None:
    """An unknown limit limits nothing."""
    plain = Hardware(name="x", description="", source="", bandwidth_GBps=100)
    limits = compute_roofline(plain, bytes_per_token=1e9, parameters_per_token=5e8, streams=1)
    assert limits is not None
    paper, measured = limits.paper, limits.measured
    assert (paper.decode_tps, paper.prefill_tps, paper.streams) == (100, None, None)
    assert (measured.decode_tps, measured.prefill_tps) == (None, None)
    unknown = compute_roofline(plain, bytes_per_token=1e9, parameters_per_token=None, streams=1)
    assert compute_use(unknown, "prefill_tps", 1.0) is None
    assert compute_use(unknown, "ttft_s", 1.0) is None
    assert compute_use(None, "decode_tps", 1.0) is None
    assert compute_roofline(None, bytes_per_token=1e9, parameters_per_token=5e8, streams=1) is None
    assert compute_roofline(plain, bytes_per_token=None, parameters_per_token=5e8, streams=1) is None


def test_a_probed_limit_invalidates_nothing() -> None:
    """A probe that read too little, or a model in the caches, gives a share above 1, and no problem."""
    probed = Hardware(name="here", description="", source="", bandwidth_measured_GBps=20)
    limits = compute_roofline(probed, bytes_per_token=1e8, parameters_per_token=1e8, streams=1)
    used = compute_use(limits, "decode_tps", 300.0)
    assert used is not None
    assert (used.effective_GBps, used.of_paper, used.possible) == (30, None, None)
    assert used.of_measured == pytest.approx(1.5)
    assert not [*check_roofline(limits, {"decode_tps": 300.0})]
    with pytest.raises(ValueError, match="`bandwidth_GBps` or `bandwidth_measured_GBps` is required"):
        Hardware(name="x", description="", source="")


@given(st.floats(1e6, 1e12), st.floats(1e-3, 1e5))
def test_limit_and_share_agree(bytes_per_token: float, tps: float) -> None:
    roofs = roof(bytes_per_token)
    used = compute_use(roofs, "decode_tps", tps)
    assert used is not None
    assert used.of_paper is not None
    assert used.possible is not None
    assert used.of_paper == pytest.approx(tps / used.possible)
    assert (len([*check_roofline(roofs, {"decode_tps": tps})]) == 1) == (used.of_paper > 1)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan])
def test_invalid_rates_and_bytes(bad: float) -> None:
    """A rate that is not above zero uses nothing; bytes that are not are an error."""
    assert compute_use(roof(1e9), "decode_tps", bad) is None
    with pytest.raises(ValueError, match=rf"bytes_per_token must be above zero \(got {bad}\)"):
        roof(bad)


def test_declared_servers_agree_with_arithmetic() -> None:
    """The servers declare what the arithmetic gives."""
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
        assert model.parameters_per_token == pytest.approx(facts.parameters_per_token, rel=1e-3), name
        assert model.bytes_per_token == pytest.approx(facts.bytes_per_token, rel=0.01), name
        assert model.kv_bytes_per_token == facts.kv_bytes_per_token, name
