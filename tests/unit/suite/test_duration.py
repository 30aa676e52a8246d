"""How long a launch takes by arithmetic. The figures of facts.md, section 15, are the author's own arithmetic."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tokgate.config.catalogue import Catalogue
from tokgate.config.server import AttachLaunch
from tokgate.config.workload import Closed, Poisson
from tokgate.suite.duration import INSTANT_S, count_prompt_tokens, estimate_pace, estimate_pass_s, estimate_startup_s
from tokgate.suite.plan import Case, RunPlan, plan_run

FIXTURES = Path(__file__).parents[3] / "fixtures"
CATALOGUE = Catalogue(FIXTURES)


@pytest.fixture(scope="module")
def box() -> RunPlan:
    return plan_run(CATALOGUE, profile="gfx1151")


@pytest.fixture
def case(box: RunPlan) -> Case:
    return box.case("vllm-current", "answer-c1")


def launch_s(plan: RunPlan, server: str, reported_tps: float | None) -> float:
    cases = plan.cases_of(server)
    pace = estimate_pace(cases[0], reported_tps)
    return estimate_startup_s(cases[0], pace) + sum(estimate_pass_s(case, pace) for case in cases)


@pytest.mark.parametrize(
    ("server", "reported_tps", "minutes"), [("vllm-current", 6.4, 33), ("llamacpp-vulkan", 24, 11)]
)
def test_launch_takes_what_the_arithmetic_says(box: RunPlan, server: str, reported_tps: float, minutes: float) -> None:
    assert launch_s(box, server, reported_tps) / 60 == pytest.approx(minutes, rel=0.15)


@pytest.mark.parametrize(
    ("prompts", "tokens"), [("diary-128", 128), ("diary-400", 400), ("diary-7k", 7000), ("summarise", 2000)]
)
def test_prompt_tokens_are_near_those_declared(prompts: str, tokens: int) -> None:
    assert count_prompt_tokens(CATALOGUE.prompts(prompts)) == pytest.approx(tokens, rel=0.15)


def test_report_overrides_the_roofline(case: Case) -> None:
    """6.4 tok/s is close to what is assumed of the roofline, so a plan hardly changes when a report is missing."""
    reported, roofline = estimate_pace(case, 6.4), estimate_pace(case, None)
    assert (reported.source, roofline.source) == ("reported", "roofline")
    assert reported.bytes_per_s == pytest.approx(roofline.bytes_per_s, rel=0.05)


def test_unknown_chip_or_model_is_assumed(case: Case) -> None:
    assert estimate_pace(msgspec.structs.replace(case, hardware=None), None).source == "assumed"
    bare = msgspec.structs.replace(case.server, model=msgspec.convert({"id": "m"}, type(case.server.model)))
    unknown = msgspec.structs.replace(case, server=bare)
    assert estimate_pace(unknown, None).source == "assumed"
    assert estimate_pass_s(unknown, estimate_pace(unknown, None)) > 0


def test_many_streams_share_one_reading_of_the_weights(box: RunPlan) -> None:
    """Eight users, each with as many requests as one user, take little longer: until the arithmetic is the limit."""
    one = box.case("vllm-current", "answer-c1")
    pace = estimate_pace(one, 6.4)

    def users(count: int) -> Case:
        load = Closed(concurrency=count)
        return msgspec.structs.replace(
            one, workload=msgspec.structs.replace(one.workload, load=load, requests=4 * count)
        )

    assert estimate_pass_s(users(8), pace) < 1.2 * estimate_pass_s(one, pace)
    assert estimate_pass_s(users(1000), pace) > 5 * estimate_pass_s(one, pace)


def test_open_loop_takes_the_time_of_its_arrivals(case: Case) -> None:
    pace = estimate_pace(case, 6.4)
    workload = msgspec.structs.replace(case.workload, load=Poisson(rate_per_s=0.01), requests=10)
    assert estimate_pass_s(msgspec.structs.replace(case, workload=workload), pace) > 1000


def test_start_of_an_attached_server_takes_no_time(case: Case) -> None:
    spec = msgspec.structs.replace(case.server, launch=AttachLaunch(url="http://127.0.0.1:1"))
    assert estimate_startup_s(msgspec.structs.replace(case, server=spec), estimate_pace(case, None)) == INSTANT_S
    without_canary = msgspec.structs.replace(case, canary=None)
    assert estimate_startup_s(without_canary, estimate_pace(case, 6.4)) < estimate_startup_s(
        case, estimate_pace(case, 6.4)
    )
