"""The record that a run starts with: the machine, the servers as far as they are known, and what will be compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from tokgate import __version__
from tokgate._exceptions import LaunchError, ServerUnreachable
from tokgate._secrets import redact_command, redact_data
from tokgate.config.hypothesis import Arm, Hypothesis
from tokgate.config.server import AttachLaunch, ServerSpec
from tokgate.launch.start import start
from tokgate.machine.fingerprint import compute_fingerprint_id, read_fingerprint
from tokgate.store.identity import Identity, format_address, read_identity
from tokgate.store.runs import RunRecord, RunWriter, find_future_run, make_conditions, now
from tokgate.suite.plan import RunPlan


def open_run(plan: RunPlan, folder: Path, *, command: Sequence[str]) -> RunWriter:
    """Write the first record of a run into its folder. Raises RecordError."""
    writer = RunWriter(folder, make_first_record(plan, run_id=folder.name, command=command))
    if (later := find_future_run(folder.parent)) is not None:
        writer.add_not_checked(
            f"the order of the history: run {later} is dated after this one; the clock is behind, or was ahead then"
        )
    return writer


def make_first_record(plan: RunPlan, *, run_id: str, command: Sequence[str]) -> RunRecord:
    """The record before anything is measured."""
    fingerprint = read_fingerprint()
    return RunRecord(
        run_id=run_id,
        started=now(),
        tokgate=__version__,
        command=redact_command(command),
        profile=plan.profile.name,
        baselines=plan.profile.hardware or f"local/{compute_fingerprint_id(fingerprint)}",
        fingerprint=fingerprint,
        conditions={case.workload.name: make_conditions(case.workload, case.prompts.sha256) for case in plan.cases},
        identities={name: expect_identity(plan.cases_of(name)[0].server) for name in plan.servers},
        hypotheses=tuple(_redact_arms(experiment.hypothesis) for experiment in plan.experiments),
        conclusions=plan.profile.conclusions,
        quiet=plan.profile.quiet,
        not_checked=plan.not_checked,
    )


def expect_identity(spec: ServerSpec) -> Identity:
    """Which server this is, as far as that is known before the run: one that is already up is asked."""
    if not isinstance(spec.launch, AttachLaunch):
        return {"model": spec.model.id}
    try:
        with start(spec, log_dir=Path()) as server:
            return read_identity(server.facts)
    except (LaunchError, ServerUnreachable):  # the run will report it
        return {"model": spec.model.id, "url": format_address(spec.launch.url)}


def _redact_arms(hypothesis: Hypothesis) -> Hypothesis:
    """The hypothesis without the secrets that its arms may give to their servers."""

    def redact(arm: Arm) -> Arm:
        return msgspec.convert(redact_data(msgspec.to_builtins(arm)), Arm)

    return msgspec.structs.replace(
        hypothesis,
        a=hypothesis.a and redact(hypothesis.a),
        b=hypothesis.b and redact(hypothesis.b),
        arms={name: redact(arm) for name, arm in hypothesis.arms.items()},
    )
