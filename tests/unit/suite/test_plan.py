"""What a profile's keys become in the plan and in the record of its run."""

from __future__ import annotations

from pathlib import Path

from tokgate.config.catalogue import Catalogue
from tokgate.config.quiet import QuietLimits
from tokgate.suite.plan import plan_run
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
