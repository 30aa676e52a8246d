"""Hypotheses on real servers whose verdict needs no timing: a vacuous one, and an arm that does not start."""

from __future__ import annotations

from typing import Any

import pytest


def arm(server: str, **launch: Any) -> dict[str, Any]:
    return {"server": server, "override": {"launch": launch}}


def verdict(project: Any) -> dict[str, Any]:
    (found,) = project.record()["verdicts"]
    assert isinstance(found, dict)
    return found


@pytest.mark.usefixtures("docker_engine")
def test_shm_size_under_ipc_host_reaches_nothing(project: Any, free_port: int) -> None:
    project.hypothesis(
        "shm",
        a=arm("llamacpp-cpu", port=free_port, ipc="host"),
        b=arm("llamacpp-cpu", port=free_port, ipc="host", shm_size="128MiB"),
        claim={"metric": "decode_tps", "above": 1.2},
    )
    done = project.perf("--tokgate-profile", "shm")
    found = verdict(project)
    assert found["outcome"] == "invalid", done.output
    assert done.code == 6
    assert "the treatment did not reach the server" in found["reason"]
    assert "set ipc: private" in found["reason"]
    assert project.record()["measurements"] == []
    refused = project.tokgate("hypothesis", "settle", "shm", "--run", "latest")
    assert refused.code == 2
    assert "hypothesis shm: run " in refused.output
    assert " is invalid: the treatment did not reach the server" in refused.output


@pytest.mark.usefixtures("docker_engine")
@pytest.mark.parametrize(
    ("claim", "outcome", "code"),
    [
        ({"metric": "decode_tps", "above": 1.2}, "arm_failed", 1),
        ({"fails": "b", "cause": "--no-such-option"}, "confirmed", 0),
    ],
    ids=["not-claimed", "claimed"],
)
def test_an_arm_that_cannot_start_is_a_finding(
    project: Any, free_port: int, claim: dict[str, Any], outcome: str, code: int
) -> None:
    project.hypothesis(
        "broken",
        a=arm("llamacpp-cpu", port=free_port),
        b=arm("llamacpp-cpu", port=free_port, args=["--no-such-option"]),
        claim=claim,
    )
    done = project.perf("--tokgate-profile", "broken")
    found = verdict(project)
    assert (found["outcome"], done.code) == (outcome, code), done.output
    assert "arm B does not start" in found["reason"]
    assert "--no-such-option" in found["reason"]
