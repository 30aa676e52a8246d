"""Claims about speed, true and false, tested on real servers and settled. They need the machine to themselves."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.long

BLOCKS = ("--tokgate-blocks", "3")
FASTER = {"metric": "decode_tps", "above": 1.2}


@pytest.fixture(params=["embedded", "container"])
def arms(request: pytest.FixtureRequest) -> dict[str, dict[str, Any]]:
    """By name, an arm of one kind of server: `one` thread, `two`, and `same` as one but for what matters not."""
    if request.param == "embedded":
        server = "embedded-smollm2"
        overrides: dict[str, dict[str, Any]] = {
            "one": {"threads": 1},
            "two": {"threads": 2},
            "same": {"threads": 1, "context": 2048},
        }
        common: dict[str, Any] = {"context": 1024, "parallel": 1}
    else:
        request.getfixturevalue("docker_engine")
        server, common = "llamacpp-cpu", {"port": request.getfixturevalue("free_port")}
        asked = [
            "--port",
            "{port}",
            "--alias",
            "{model}",
            "--ctx-size",
            "1024",
            "--parallel",
            "1",
            "--threads",
        ]
        overrides = {
            "one": {"args": [*asked, "1"]},
            "two": {"args": [*asked, "2"]},
            "same": {"args": [*asked, "1"], "env": {"COLOUR": "blue"}},
        }
    return {name: {"server": server, "override": {"launch": common | override}} for name, override in overrides.items()}


@pytest.fixture
def tested(project: Any, arms: dict[str, dict[str, Any]]) -> Any:
    """Test the claim that `b` decodes more than 1.2 times as fast as one thread; gives exit, output, verdict."""

    def run(name: str, b: str) -> tuple[Any, dict[str, Any]]:
        project.workload("brief", requests=3, max_tokens=64)
        project.hypothesis(name, a=arms["one"], b=arms[b], claim=FASTER)
        done = project.quiet_perf("--tokgate-profile", name, *BLOCKS)
        (verdict,) = project.record()["verdicts"]
        return done, verdict

    return run


def test_a_true_claim_is_confirmed_and_settled(project: Any, tested: Any) -> None:
    done, verdict = tested("two-threads", "two")
    assert (verdict["outcome"], done.code) == ("confirmed", 0), done.output
    assert verdict["ci_low"] > 1.2
    settled = project.tokgate("hypothesis", "settle", "two-threads", "--run", "latest")
    assert settled.code == 0, settled.output
    shown = project.tokgate("hypothesis", "show", "two-threads").output
    assert "confirmed" in shown
    assert project.record()["run_id"] in shown


def test_false_claim_is_refuted(project: Any, tested: Any) -> None:
    """A false claim is refuted, and the verdict says what this supports."""
    done, verdict = tested("same", "same")
    assert (verdict["outcome"], done.code) == ("refuted", 1), done.output
    assert verdict["ci_high"] < 1.2
    assert "the rival explanation" in done.output
    assert "tokgate hypothesis settle same" in done.output
    assert project.tokgate("hypothesis", "settle", "same", "--run", "latest").code == 0
    again, verdict = project.perf("--tokgate-profile", "same", *BLOCKS), project.record()["verdicts"][0]
    assert verdict["outcome"] != "refuted" or again.code == 0  # it is what is recorded
