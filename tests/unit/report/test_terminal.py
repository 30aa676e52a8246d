"""The tables of a run: figures stand beside what the chip allows, and nothing where that is not known."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
from msgspec.structs import replace

from tokgate.config.catalogue import Catalogue
from tokgate.config.hardware import PROBED, Hardware
from tokgate.judge.verdict import Known, Later, Outcome, Verdict
from tokgate.launch.server import ServerFacts
from tokgate.machine.fingerprint import Fingerprint
from tokgate.machine.monitor import Monitor
from tokgate.measure.measurement import Measurement, Roofline
from tokgate.measure.roofline import compute_roofline
from tokgate.report.html import to_html
from tokgate.report.markdown import to_markdown
from tokgate.report.terminal import describe_measurement, format_summary
from tokgate.report.view import build_view
from tokgate.store.runs import RunRecord

CATALOGUE = Catalogue(Path(__file__).parents[3] / "fixtures")


def roof(server: str, streams: int = 1) -> Roofline | None:
    model = CATALOGUE.server(server).model
    return compute_roofline(
        CATALOGUE.hardware("gfx1151"),
        bytes_per_token=model.bytes_read(0),
        parameters_per_token=model.parameters_per_token,
        streams=streams,
    )


def measurement(server: str, workload: str, roofline: Roofline | None, **metrics: float) -> Measurement:
    with Monitor(server_pids=()) as monitor:
        pass
    return Measurement(
        server=server,
        workload=workload,
        launch=1,
        started="2026-01-01T00:00:01.000+00:00",
        valid=True,
        problems=(),
        metrics=metrics,
        gated=metrics,
        facts=ServerFacts(name=server, engine="vllm", base_url="http://x", model="m"),
        warmup_passes=2,
        host=monitor.report,
        client_cpu_s=0.1,
        max_lag_s=0.001,
        samples=(),
        roofline=roofline,
    )


def verdict(kind: str, server: str, workload: str, metric: str, current: float, **more: object) -> Verdict:
    given = {"kind": kind, "server": server, "workload": workload, "metric": metric, "current": current}
    return msgspec.convert(given | {"outcome": Outcome.PASS} | more, Verdict)


def record(*measurements: Measurement, verdicts: tuple[Verdict, ...]) -> RunRecord:
    return RunRecord(
        run_id="20260101T000000Z-abcdef",
        started="2026-01-01T00:00:00.000+00:00",
        tokgate="0",
        command=("pytest",),
        profile="gfx1151",
        baselines="gfx1151",
        fingerprint=Fingerprint({}),
        conditions={},
        measurements=measurements,
        verdicts=verdicts,
    )


def row(text: str, *words: str) -> str:
    (line,) = (line for line in text.splitlines() if all(word in line for word in words))
    return line


def columns(line: str) -> list[str]:
    return re.split(r"  +", line.strip())


def test_figures_are_shown_with_the_roofline() -> None:
    """Each value is shown with what the chip allows."""
    run = record(
        measurement("vllm-current", "answer-c1", roof("vllm-current"), decode_tps=6.4),
        measurement("vllm-current", "answer-c16", roof("vllm-current", 16), output_tps=90.0),
        measurement("gap/a", "answer-c1", roof("vllm-current"), decode_tps=6.4),
        measurement("gap/b", "answer-c1", roof("llamacpp-vulkan"), decode_tps=24.0),
        verdicts=(
            verdict("gate", "vllm-current", "answer-c1", "decode_tps", 6.4),
            verdict("gate", "vllm-current", "answer-c1", "prefill_tps", 660.0),
            verdict("gate", "vllm-current", "answer-c1", "ttft_s", 0.2),
            verdict("gate", "vllm-current", "answer-c16", "output_tps", 90.0),
            verdict("hypothesis", "a | b", "answer-c1", "decode_tps", 24.0, baseline=6.4, hypothesis="gap"),
        ),
    )
    text = format_summary(run, width=160, color=False)
    # The owner's 6.4 tok/s of FP16: 179 GB/s, 84 % of what a copy reaches, and at most 9.15 tok/s on paper.
    assert columns(row(text, "answer-c1 decode_tps"))[1:] == [
        *("✓ pass", "6.400 tok/s", "179.1 GB/s", "70 %", "84.5 %", "9.149 tok/s")
    ]
    assert columns(row(text, "prefill_tps"))[-4:] == ["18.47 TFLOPS", "31.1 %", "50.1 %", "2123 tok/s"]
    assert columns(row(text, "output_tps"))[-4:] == ["–", "61.5 %", "74.2 %", "146.4 tok/s"]
    assert columns(row(text, "ttft_s"))[-4:] == ["–", "–", "–", "–"]
    assert columns(row(text, "gap"))[-3:] == ["6.400 tok/s → 24.00 tok/s", "70 % → 80.2 %", "84.5 % → 96.8 %"]
    assert "roofline of gfx1151: on paper 256 GB/s, 59.4 TFLOPS in FP16; measured" in text


def test_where_the_chip_is_not_known_nothing_is_shown() -> None:
    one = measurement("here", "chat-c1", None, decode_tps=120.0)
    text = format_summary(
        record(one, verdicts=(verdict("gate", "here", "chat-c1", "decode_tps", 120.0),)),
        width=100,
        color=False,
    )
    assert "of paper" not in text
    assert "roofline" not in text
    assert "on paper" not in describe_measurement(one)


def test_a_single_measurement_says_what_it_used() -> None:
    one = measurement("vllm-current", "answer-c1", roof("vllm-current"), decode_tps=6.4)
    assert "179.1 GB/s, 70 % on paper (9.149 tok/s possible), 84.5 % as measured" in describe_measurement(one)


def test_the_share_of_a_probed_bandwidth_is_a_sentence() -> None:
    """Decode beside what this machine reads; more than that comes from the caches."""
    model = CATALOGUE.server("embedded-smollm2").model
    here = Hardware(name=PROBED, description="", source="", bandwidth_measured_GBps=20.0)
    limits = compute_roofline(
        here, bytes_per_token=model.bytes_read(0), parameters_per_token=model.parameters_per_token, streams=1
    )
    for decode_tps, share, cached in ((103.5, "50 %", False), (310.6, "150 %", True)):
        one = measurement("here", "chat-c1", limits, decode_tps=decode_tps)
        text = " ".join(format_summary(record(one, verdicts=()), width=200, color=False).split())
        assert f"decode of here uses {share} of this machine's memory bandwidth" in text
        assert ("part of the model is read from the caches" in text) == cached
        assert "before the first launch its CPUs read memory at 20 GB/s; a model" in text
        assert "on paper" not in describe_measurement(one)


def test_what_follows_from_the_hypotheses_is_said() -> None:
    tested = verdict("hypothesis", "a", "w", "start", 1.0, hypothesis="shm-size", outcome=Outcome.ARM_FAILED)
    run = msgspec.structs.replace(record(verdicts=(tested,)), conclusions=CATALOGUE.profile("gfx1151").conclusions)
    text = " ".join(format_summary(run, width=100, color=False).split())
    assert "conclusion: 64 MiB of shared memory is too little to start the engine" in text


def test_names_are_shown_without_markup() -> None:
    """Names are shown as they are, and their markup has no effect."""
    name = "[red]q4[/x]"
    run = record(
        verdicts=(
            verdict("gate", name, name, "decode_tps", 6.4),
            verdict("hypothesis", "a", name, "decode_tps", 6.4, baseline=6.4, hypothesis=name),
        )
    )
    text = format_summary(msgspec.structs.replace(run, profile=name), width=100, color=False)
    assert text.count(name) == 4


def test_a_narrow_terminal_keeps_the_verdict() -> None:
    """Columns are left out, not cut short."""
    run = record(
        measurement("vllm-current", "answer-c1", roof("vllm-current"), decode_tps=6.4),
        verdicts=(verdict("gate", "vllm-current", "answer-c1", "decode_tps", 6.4, baseline=6.5, ratio=0.985),),
    )
    table = format_summary(run, width=70, color=False).partition("Roofline")[0].partition("roofline")[0]
    assert max(map(len, table.splitlines())) <= 70
    assert columns(row(table, "answer-c1 decode_tps"))[1:4] == ["✓ pass", "6.400 tok/s", "6.500 tok/s"]
    assert "…" not in table
    assert "possible" not in table


def test_an_unbounded_interval_is_named() -> None:
    found = verdict("gate", "s", "w", "decode_tps", 6.4, ratio=1.0, ci_low=1e-9, ci_high=274134338947.724)
    text = format_summary(record(verdicts=(found,)), width=100, color=False)
    assert "unbounded" in row(text, "w decode_tps")


def test_figures_of_an_invalid_measurement_are_dim() -> None:
    invalid = {"kind": "gate", "server": "s", "workload": "w", "metric": "decode_tps", "outcome": "invalid"}
    run = record(measurement("s", "w", None, decode_tps=6.4), verdicts=(msgspec.convert(invalid, Verdict),))
    assert "(6.400 tok/s)" in row(format_summary(run, width=100, color=False), "w decode_tps", "! invalid")
    assert "| (6.400 tok/s) |" in to_markdown(build_view(run))
    page = to_html(build_view(run))
    assert 'class="explained dim"' in page
    assert '<span class="soft">(decode_tps 6.400 tok/s)</span>' not in page, "this launch is valid"
    assert "\x1b[2m(6.400 tok/s" in format_summary(run, width=100, color=True).replace("\x1b[0m", "")


def test_an_invalid_test_shows_what_its_arms_measured() -> None:
    """The values are in parentheses, and the verdict has none of them."""
    test = verdict("hypothesis", "a | b", "w", "decode_tps", 0.0, hypothesis="gap", outcome=Outcome.INVALID)
    test = msgspec.structs.replace(test, current=None)
    arms = (measurement("gap/a", "w", None, decode_tps=6.4), measurement("gap/b", "w", None, decode_tps=24.0))
    text = format_summary(record(*arms, verdicts=(test,)), width=160, color=False)
    assert "(6.400 tok/s) → (24.00 tok/s)" in row(text, "gap", "! invalid")
    alone = format_summary(record(arms[0], verdicts=(test,)), width=160, color=False)
    assert "6.400" not in row(alone, "gap", "! invalid")


def test_known_verdict_has_its_age() -> None:
    """Where an earlier run settled a hypothesis, terminal and report say which one, and how long ago."""
    known = Known(run="20251229T010000Z-abcdef", started="2025-12-29T01:00:00.000+00:00")
    note = "known from run 20251229T010000Z-abcdef, 3 days old"
    settled = verdict(
        "hypothesis",
        "a | b",
        "w",
        "decode_tps",
        24.0,
        outcome=Outcome.CONFIRMED,
        hypothesis="faster",
        known=known,
        notes=(note,),
    )
    night = replace(record(verdicts=(settled,)), started="2026-01-01T01:00:00.000+00:00")
    text = format_summary(night, width=200, color=False)
    assert "age" in text
    assert "3 days" in row(text, "faster", "✓")
    assert "known: faster: confirmed, from run 20251229T010000Z-abcdef, 3 days old" in text
    assert note in to_markdown(build_view(night))


def test_what_is_left_for_later_has_its_age() -> None:
    """In one line of the terminal, and one by one in the report."""
    known = Known(run="20251229T010000Z-abcdef", started="2025-12-29T01:00:00.000+00:00")
    later = (
        Later(name="vllm-amd", outcomes={"w decode_tps": Outcome.PASS}, known=known),
        Later(name="vllm-awq × deep"),
    )
    settled = verdict("gate", "s", "w", "decode_tps", 24.0, outcome=Outcome.PASS)
    night = replace(record(verdicts=(settled,)), started="2026-01-01T01:00:00.000+00:00", later=later)
    text = format_summary(night, width=200, color=False)
    assert (
        "later: the budget had no time for 2 parts of the profile, 1 of them never answered; the oldest answer is 3 days "
        "old (vllm-amd)"
    ) in text
    report = to_markdown(build_view(night))
    assert "- **left for later**: the budget had no time for it; a later run measures it" in report
    assert "  - vllm-amd: pass, 3 days ago" in report
    assert "  - vllm-awq × deep: never answered" in report
