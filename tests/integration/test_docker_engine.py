"""An engine that answers, on the real one where there is one."""

from __future__ import annotations

import os

import pytest

from tokgate.machine.daemon import ask_engine


def test_real_engine_tells_its_version_and_which_images_it_has() -> None:
    engine = ask_engine(["no-such-image:ever"])
    if engine.version is None:
        if os.environ.get("TOKGATE_REQUIRE_DOCKER"):
            pytest.fail(f"no Docker engine answers: {engine.error}")
        pytest.skip(f"no Docker engine answers: {engine.error}")
    assert engine.version[0].isdigit()
    assert engine.images == {}
    assert engine.error is None
