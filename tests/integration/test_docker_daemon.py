"""The Docker daemon's answers, where there is one."""

from __future__ import annotations

import os

import pytest

from tokgate.machine.daemon import ask_daemon


def test_version_and_images() -> None:
    daemon = ask_daemon(["no-such-image:ever"])
    if daemon.version is None:
        if os.environ.get("TOKGATE_REQUIRE_DOCKER"):
            pytest.fail(f"the Docker daemon does not answer: {daemon.error}")
        pytest.skip(f"the Docker daemon does not answer: {daemon.error}")
    assert daemon.version[0].isdigit()
    assert daemon.images == {}
    assert daemon.error is None
