"""Each metric is what docs/metrics.md says, on samples that can be worked out on paper."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.config.metric import METRIC_NAMES
from tokgate.config.units import Duration
from tokgate.config.workload import Closed, Limits, Workload
from tokgate.drive.sample import Sample
from tokgate.machine.host import HostReport
from tokgate.measure import metrics as of
from tokgate.measure.metrics import Pass, collect_values, compute_gated, compute_metrics

SAMPLE = Sample(
    index=0,
    prompt_id="p",
    asked_tokens=11,
    sent_s=1.0,
    first_byte_s=1.4,
    token_times_s=tuple(1.5 + 0.1 * i for i in range(11)),
    end_s=2.6,
    prompt_tokens=100,
    cached_tokens=0,
    completion_tokens=11,
)
ONE = Workload(name="w", description="", prompts="p", requests=1, max_tokens=11)


def changed(**changes: object) -> Sample:
    return msgspec.structs.replace(SAMPLE, **changes)


def test_definitions() -> None:
    assert of.ttfb_s(SAMPLE) == pytest.approx(0.4)
    assert of.ttft_s(SAMPLE) == pytest.approx(0.5)
    assert of.decode_tps(SAMPLE) == pytest.approx(10.0)
    assert of.tpot_s(SAMPLE) == pytest.approx(0.1)
    assert of.prefill_tps(SAMPLE) == pytest.approx(200.0)
    assert of.output_tps(Pass([SAMPLE])) == pytest.approx(11 / 1.5)


def test_first_chunk_is_not_decoded() -> None:
    """The tokens of the first chunk were not decoded in the time after it."""
    assert of.decode_tps(changed(first_chunk_tokens=3)) == pytest.approx(8.0)


def test_cached_tokens_were_not_prefilled() -> None:
    assert of.prefill_tps(changed(cached_tokens=50)) == pytest.approx(100.0)


def test_several_tokens_per_chunk() -> None:
    merged = changed(token_times_s=SAMPLE.token_times_s[::2])
    assert of.decode_tps(merged) == pytest.approx(10.0)
    assert of.tokens_per_chunk(Pass([merged])) == pytest.approx(11 / 6)


@pytest.mark.parametrize(
    "missing",
    [
        {"token_times_s": ()},
        {"token_times_s": (1.5,)},
        {"completion_tokens": None},
        {"token_times_s": (1.5, 1.5, 1.5)},
        {"completion_tokens": 1},
    ],
)
def test_no_rate_is_none_and_never_zero(missing: dict[str, object]) -> None:
    assert of.decode_tps(changed(**missing)) is None
    assert "decode_tps" not in compute_metrics(Pass([changed(**missing)]))
    assert "decode_tps" not in compute_gated(Pass([changed(**missing)]), ONE)


def test_failed_requests_have_no_metrics() -> None:
    assert compute_metrics(Pass([changed(error="broken", completion_tokens=None)])) == {}


def test_output_rate_of_several_streams() -> None:
    """All tokens count over the whole time."""
    later = changed(sent_s=1.5, token_times_s=tuple(time + 0.5 for time in SAMPLE.token_times_s))
    assert of.output_tps(Pass([SAMPLE, later])) == pytest.approx(22 / 2.0)


def test_bandwidth_requires_one_stream() -> None:
    """It also requires the bytes per token."""
    timed = Pass([SAMPLE], bytes_per_token=28_000_000_000)
    assert compute_metrics(timed)["effective_GBps"] == pytest.approx(280.0)
    assert "effective_GBps" not in compute_metrics(Pass([SAMPLE]))
    assert "effective_GBps" not in compute_metrics(msgspec.structs.replace(timed, streams=2))


def test_goodput() -> None:
    """Goodput counts the requests that met every limit."""
    slow = changed(index=1, token_times_s=tuple(time + 1 for time in SAMPLE.token_times_s))
    limits = Limits(ttft=Duration(1.0), tpot=Duration(0.2))
    assert of.goodput_rps(Pass([SAMPLE, slow], limits=limits)) == pytest.approx(1 / 2.5)
    assert of.goodput_rps(Pass([SAMPLE], limits=Limits(tpot=Duration(0.05)))) == 0.0
    assert of.goodput_rps(Pass([changed(token_times_s=())], limits=limits)) is None


def test_gated_metrics_of_a_workload() -> None:
    """The gated values are those of the workload's gated metrics."""
    for concurrency in (1, 4):
        for limits in (None, Limits(ttft=Duration(1))):
            workload = msgspec.structs.replace(ONE, load=Closed(concurrency=concurrency), limits=limits)
            assert set(compute_gated(Pass([SAMPLE], limits=limits), workload)) == set(workload.gated)


rates = st.lists(st.floats(min_value=0.1, max_value=1e4), min_size=1, max_size=20)


@given(rates)
def test_launch_is_a_geometric_mean(wanted: list[float]) -> None:
    """The value of a launch is the geometric mean of its requests."""
    samples = [changed(token_times_s=(1.5, 1.5 + 10 / rate)) for rate in wanted]
    found = compute_gated(Pass(samples), ONE)["decode_tps"]
    assert min(wanted) * (1 - 1e-6) <= found <= max(wanted) * (1 + 1e-6)
    inverse = [changed(token_times_s=(1.5, 1.5 + rate / 1000)) for rate in wanted]
    assert compute_gated(Pass(inverse), ONE)["decode_tps"] * found == pytest.approx(10_000, rel=1e-6)


def test_gaps_of_all_requests_are_pooled() -> None:
    """The median and the 99th percentile of ITL are taken over the gaps of all requests that did not fail."""
    stalled = changed(index=1, token_times_s=(*SAMPLE.token_times_s[:-1], SAMPLE.token_times_s[-1] + 0.9))
    broken = changed(index=2, token_times_s=(1.5, 99.0), error="broken")
    timed = Pass([SAMPLE, stalled, broken])
    assert collect_values("itl_s", timed) == pytest.approx([0.1] * 19 + [1.0])
    values = compute_metrics(timed)
    assert values["itl_s"] == pytest.approx(0.1)
    assert values["itl_p99_s"] == pytest.approx(0.829)


def test_every_row_is_computed() -> None:
    """Each metric of the table has its function."""
    timed = Pass([SAMPLE], limits=Limits(ttft=Duration(1)), bytes_per_token=1.0, joules=5.0)
    assert set(compute_metrics(timed)) == set(METRIC_NAMES)


def host_report(watts: tuple[float | None, ...] | None) -> HostReport:
    """Ten seconds on a quiet machine, its power read at 2, 4, 6 and 8 s; None: it has no sensor."""
    return HostReport(
        duration_s=10.0,
        cpus=16,
        others_cores=0.01,
        culprit=None,
        steal=0.0,
        pressure={},
        swapped_bytes=0,
        throttled={},
        governor="performance",
        levels={},
        at_s=(2.0, 4.0, 6.0, 8.0),
        timeline={} if watts is None else {"gpu_power_W": watts},
        unknown=("gpu_power_W",) if watts is None else (),
        monitor_cores=0.0005,
    )


@pytest.mark.parametrize(
    ("watts", "joules"),
    [
        ((100.0, 100.0, 100.0, 100.0), 1000.0),
        ((60.0, 100.0, 100.0, 60.0), 120 + 160 + 200 + 160 + 120),
        ((60.0, None, 100.0, 100.0), 120 + 320 + 200 + 200),
    ],
)
def test_tokens_per_joule(watts: tuple[float | None, ...], joules: float) -> None:
    """The tokens over the integral of the recorded power; a reading that failed is bridged."""
    timed = Pass([SAMPLE, SAMPLE], joules=host_report(watts).energy_joules)
    assert timed.joules == pytest.approx(joules)
    assert compute_metrics(timed)["tokens_per_joule"] == pytest.approx(22 / joules)


@pytest.mark.parametrize("watts", [None, (None, None, None, None)])
def test_tokens_per_joule_needs_a_sensor(watts: tuple[None, ...] | None) -> None:
    """Without a power sensor it is absent, never zero."""
    timed = Pass([SAMPLE], joules=host_report(watts).energy_joules)
    assert timed.joules is None
    assert "tokens_per_joule" not in compute_metrics(timed)
