"""Known: the hypotheses whose verdict an earlier run has settled, and why the others are tested again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from tokgate.config.server import DockerLaunch
from tokgate.judge.verdict import Verdict
from tokgate.launch.standing import read_standing_facts
from tokgate.machine.daemon import Daemon, ask_daemon
from tokgate.store.evidence import PastVerdict, explain_expiry, make_known
from tokgate.store.runs import RunRecord, make_conditions
from tokgate.suite.plan import Experiment


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a hypothesis before a run.

    depends_on: the facts that its verdict depends on.
    verdict: of an earlier run, if it still holds.
    why_again: why an earlier test does not count; empty if there was none.
    """

    depends_on: dict[str, str | None]
    verdict: Verdict | None = None
    why_again: str = ""


def find_standing(
    experiments: Iterable[Experiment],
    record: RunRecord,
    past: Mapping[str, PastVerdict],
    *,
    shelf_life_s: float,
    again: bool,
) -> dict[str, Standing]:
    """By hypothesis, what is known before this run.

    past: by hypothesis, the newest verdict that a run on this machine measured.
    again: test all of them, whatever is known.
    """
    experiments = tuple(experiments)
    images = [
        arm.server.launch.image
        for experiment in experiments
        for arm in experiment.arms.values()
        if isinstance(arm.server.launch, DockerLaunch)
    ]
    daemon = ask_daemon(dict.fromkeys(images)) if images else Daemon(version=None)
    return {
        experiment.hypothesis.name: _find_one(experiment, past, record, daemon, shelf_life_s, again)
        for experiment in experiments
    }


def _find_one(
    experiment: Experiment,
    past: Mapping[str, PastVerdict],
    record: RunRecord,
    daemon: Daemon,
    shelf_life_s: float,
    again: bool,
) -> Standing:
    facts = _list_dependencies(experiment, daemon)
    return make_standing(facts, past.get(experiment.hypothesis.name), record, shelf_life_s=shelf_life_s, again=again)


def make_standing(
    facts: dict[str, str | None], earlier: PastVerdict | None, record: RunRecord, *, shelf_life_s: float, again: bool
) -> Standing:
    """What is known of a hypothesis whose verdict depends on these facts. earlier: its newest verdict; None without one."""
    if earlier is None:
        return Standing(depends_on=facts)
    if again:
        return Standing(depends_on=facts, why_again="--tokgate-again")
    why = explain_expiry(earlier, facts, record, shelf_life_s=shelf_life_s)
    if why is not None:
        return Standing(depends_on=facts, why_again=why)
    return Standing(depends_on=facts, verdict=make_known(earlier, record))


def _list_dependencies(experiment: Experiment, daemon: Daemon) -> dict[str, str | None]:
    """The claim, the conditions of its workload, and the facts of each arm that can be read without starting it."""
    hypothesis = experiment.hypothesis
    facts: dict[str, str | None] = {"claim": msgspec.json.encode(hypothesis.claim).decode()}
    for name, arm in experiment.arms.items():
        conditions = make_conditions(arm.workload, arm.prompts.sha256)
        facts |= {f"workload {key}": value for key, value in conditions.items()}
        facts |= {f"arm {name} {key}": value for key, value in read_standing_facts(arm.server, daemon).items()}
    if hypothesis.claim.of is not None or hypothesis.claim.reach is not None:
        chip = next(iter(experiment.arms.values())).hardware
        # Without a declared chip each run probes this machine, which its fingerprint identifies.
        facts["hardware"] = "probed" if chip is None else msgspec.json.encode(chip).decode()
    return facts
