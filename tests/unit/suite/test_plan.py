"""What a profile's keys become in the plan and in the record of its run."""

from __future__ import annotations

from pathlib import Path

from tokgate.config.catalogue import Catalogue
from tokgate.config.quiet import QuietLimits
from tokgate.suite.plan import AttachTarget, plan_run
from tokgate.suite.record import make_first_record

CATALOGUE = Catalogue(Path(__file__).parents[3] / "fixtures")
PROFILE = """\
description: of a test
cells:
  - servers: [embedded-smollm2]
    workloads: [chat-c1]
"""


def test_quiet_limits_reach_the_record(tmp_path: Path) -> None:
    """Every measurement is checked by the limits of the profile; the record keeps them, and the run says so."""
    path = tmp_path / "busy.yaml"
    path.write_text(f"{PROFILE}quiet: {{others_cores: 4.5}}\n")
    plan = plan_run(CATALOGUE, profile=str(path))
    limits = QuietLimits(others_cores=4.5)
    assert [case.quiet for case in plan.cases] == [limits]
    record = make_first_record(plan, run_id="r", command=())
    assert record.quiet == limits
    (note,) = [
        each for each in record.not_checked if each.startswith("quiet limits relaxed: others_cores 4.5 (default ")
    ]
    assert "expect launches to scatter more" in note


def test_default_limits_are_not_mentioned(tmp_path: Path) -> None:
    path = tmp_path / "usual.yaml"
    path.write_text(PROFILE)
    record = make_first_record(plan_run(CATALOGUE, profile=str(path)), run_id="r", command=())
    assert record.quiet == QuietLimits()
    assert "quiet" not in "".join(record.not_checked)


def test_a_narrowed_plan_plans_the_whole_profile(tmp_path: Path) -> None:
    """The verdicts that --tokgate-server leaves out are missing at the end; those of an attached server are all its own."""
    path = tmp_path / "two.yaml"
    two = PROFILE.replace("[embedded-smollm2]", "[embedded-smollm2, llamacpp-cpu]")
    path.write_text(f"{two}hypotheses: [embedded-threads]\n")
    whole = plan_run(CATALOGUE, profile=str(path))
    narrow = plan_run(CATALOGUE, profile=str(path), servers=["embedded-smollm2"])
    assert narrow.servers == ("embedded-smollm2",)
    assert narrow.planned == whole.planned
    assert [(each.kind, each.name) for each in whole.planned] == [
        ("answers", "answers of embedded-smollm2"),
        ("answers", "answers of llamacpp-cpu"),
        *(
            ("gate", f"{server} × chat-c1 {metric}")
            for server in ("embedded-smollm2", "llamacpp-cpu")
            for metric in whole.case("llamacpp-cpu", "chat-c1").workload.gated
        ),
        ("hypothesis", "hypothesis embedded-threads"),
    ]
    attached = plan_run(CATALOGUE, profile=str(path), attach=AttachTarget(url="http://127.0.0.1:9", model="m"))
    assert {each.server for each in attached.planned} == {"attached"}
    record = make_first_record(attached, run_id="r", command=())
    assert record.identities == {"attached": {"model": "m", "url": "http://127.0.0.1:9"}}, "nothing answers there"
