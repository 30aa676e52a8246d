"""What runs the nightly job outlasts the night of the profile, and ends only a run that hangs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tokgate.config.catalogue import Catalogue
from tokgate.config.units import Duration
from tokgate.suite.plan import NIGHT, plan_run

ROOT = Path(__file__).parents[2]
LAUNCH_S = 40 * 60
"""A launch of the slowest server, with a margin."""


@pytest.fixture
def night_s() -> float:
    budget_s = plan_run(Catalogue(ROOT / "fixtures"), profile="gfx1151", budget=NIGHT).budget_s
    assert budget_s is not None
    return budget_s


def test_systemd_unit_outlasts_the_night(night_s: float) -> None:
    unit = (ROOT / "ci" / "systemd" / "tokgate-nightly.service").read_text()
    (limit,) = re.findall(r"^TimeoutStartSec=(.*)$", unit, re.MULTILINE)
    assert Duration.parse(limit) >= night_s + LAUNCH_S


def test_workflow_outlasts_the_night_and_vllm(night_s: float) -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "nightly.yml").read_text())
    assert 60 * workflow["jobs"]["nightly"]["timeout-minutes"] >= night_s + LAUNCH_S + 3600
