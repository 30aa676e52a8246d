"""A real server beside its roofline: a measurement above it is invalid, a claim of a share of it is tested."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tokgate.config.catalogue import Catalogue
from tokgate.config.hardware import Hardware
from tokgate.config.hypothesis import Arm, Claim, Hypothesis
from tokgate.config.workload import Workload
from tokgate.judge.verdict import Outcome, Verdict
from tokgate.launch.start import start
from tokgate.machine.fingerprint import Fingerprint
from tokgate.store.runs import RunRecord, RunWriter
from tokgate.suite.case import measure_case
from tokgate.suite.experiment import run_experiment
from tokgate.suite.heartbeat import Heartbeat
from tokgate.suite.instruments import Instruments
from tokgate.suite.live import Live
from tokgate.suite.plan import Case, Experiment

WORKLOAD = Workload(name="short", description="two short answers", prompts="short-chat", requests=2, max_tokens=8)
SLOW = Hardware(name="slow-chip", description="", source="", bandwidth_GBps=0.01)


def a_cell(catalogue: Catalogue, hardware: Hardware) -> Case:
    """The embedded server, on a chip of that name."""
    spec = catalogue.server("embedded-smollm2", {"model": {"bytes_per_token": "90MB"}})
    return Case(server=spec, workload=WORKLOAD, prompts=catalogue.prompts("short-chat"), hardware=hardware)


def test_more_bandwidth_than_there_is_invalidates(catalogue: Catalogue, tmp_path: Path) -> None:
    cell = a_cell(catalogue, SLOW)
    with start(cell.server, log_dir=tmp_path) as server:
        impossible = measure_case(server, cell, Instruments(), launch=1, watch=lambda *_: None)
        fast = msgspec.structs.replace(SLOW, bandwidth_GBps=1e6)
        possible = measure_case(
            server,
            msgspec.structs.replace(cell, hardware=fast),
            Instruments(),
            launch=2,
            watch=lambda *_: None,
        )
    (problem,) = [one for one in impossible.problems if one.rule == "above_roofline"]
    assert not impossible.valid
    assert "theoretical limit of slow-chip (0.01 GB/s" in problem.detail
    assert "above_roofline" not in {one.rule for one in possible.problems}


def verdict_of(cell: Case, folder: Path, claim: Claim) -> tuple[Verdict, RunRecord]:
    """What an experiment of that claim about one server gives."""
    hypothesis = Hypothesis(
        name="alone",
        title="t",
        source="s",
        a=Arm(server=cell.server.name),
        workload="short",
        claim=claim,
        rival="another limit",
    )
    record = RunRecord(
        run_id="r",
        started="2026-01-01T00:00:00.000+00:00",
        tokgate="0",
        command=(),
        profile="p",
        baselines="b",
        fingerprint=Fingerprint({}),
        conditions={},
    )
    writer = RunWriter(folder, record)
    experiment = Experiment(hypothesis=hypothesis, arms={"a": cell})
    live = Live(writer, observer=Heartbeat(print))
    verdict = run_experiment(experiment, live, blocks=1, goes_on=lambda _: True)
    return verdict, writer.record


def test_what_is_out_of_reach_is_told_without_a_launch(catalogue: Catalogue, tmp_path: Path) -> None:
    # 90 MB a token at 0.01 GB/s: one token in nine seconds.
    verdict, record = verdict_of(a_cell(catalogue, SLOW), tmp_path, Claim(metric="decode_tps", reach=100))
    assert verdict.outcome is Outcome.REFUTED
    assert "the claim is 100.0 tok/s, and the chip allows 0.1111 tok/s on paper" in verdict.reason
    assert record.measurements == ()
    assert not (tmp_path / "logs").exists()


def test_a_share_of_an_unknown_limit_is_invalid(catalogue: Catalogue, tmp_path: Path) -> None:
    known = msgspec.structs.replace(a_cell(catalogue, SLOW), hardware=None)
    verdict, _ = verdict_of(known, tmp_path, Claim(metric="decode_tps", reach=100))
    assert verdict.outcome is Outcome.INVALID
    assert "the profile names no hardware" in verdict.reason


def test_one_server_is_measured_beside_its_roofline(catalogue: Catalogue, tmp_path: Path) -> None:
    vast = msgspec.structs.replace(SLOW, bandwidth_GBps=1e6)
    claim = Claim(metric="decode_tps", of="paper", below=0.5)
    verdict, record = verdict_of(a_cell(catalogue, vast), tmp_path, claim)
    host = [problem for one in record.measurements for problem in one.problems]
    if host and all(problem.rule.startswith("host_") for problem in host):
        pytest.skip(f"this host is not quiet enough to measure on: {host[0].detail}")
    assert verdict.outcome is Outcome.CONFIRMED, verdict.reason
    assert [one.server for one in record.measurements] == ["alone/a", "alone/a"]
    assert verdict.launches == 2
    assert 0 < (verdict.ratio or 0) < 0.1
