"""The file of a hypothesis: the result of a run is written into it without changing anything else."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import msgspec

from tokgate._exceptions import RecordError, SpecError, UsageError
from tokgate.config.hypothesis import Evidence, Hypothesis
from tokgate.config.load import Document
from tokgate.judge.verdict import Known, Outcome
from tokgate.store.files import write_atomically
from tokgate.store.runs import RunRecord

_STATUS = re.compile(r"^status:.*$", re.MULTILINE)
_EVIDENCE = re.compile(r"^evidence:[ ]*(\[\])?[ ]*$\n?", re.MULTILINE)


def make_evidence(run: RunRecord, name: str) -> Evidence:
    """The result of `run` for hypothesis `name`. Raises UsageError unless it is confirmed or refuted."""
    verdicts = [verdict for verdict in run.verdicts if verdict.kind == "hypothesis" and verdict.hypothesis == name]
    settled = [verdict for verdict in verdicts if verdict.outcome in (Outcome.CONFIRMED, Outcome.REFUTED)]
    if not settled:
        result = f"is {verdicts[-1].outcome}: {verdicts[-1].reason}" if verdicts else "does not test it"
        raise UsageError(
            f"hypothesis {name}: run {run.run_id} {result}. Only a confirmed or refuted hypothesis can be settled; "
            "run it again, with more --tokgate-blocks if it was inconclusive"
        )
    verdict = settled[-1]
    arms = max((len(tested.named_arms) for tested in run.hypotheses if tested.name == name), default=2)
    per_arm = 1 if verdict.design == "duet" else 2  # launches of each arm in a block
    known = verdict.known or Known(run=run.run_id, started=run.started)
    return Evidence(
        date=date.fromisoformat(known.started[:10]),
        run=known.run,
        outcome=str(verdict.outcome),
        ratio=_rounded(verdict.ratio),
        ci_low=_rounded(verdict.ci_low),
        ci_high=_rounded(verdict.ci_high),
        blocks=verdict.launches // (per_arm * max(arms, 2)) or None,
    )


def write_evidence(path: Path, evidence: Evidence) -> None:
    """Set `status` in the file and insert `evidence` at the top of its list; comments and order stay.

    Raises UsageError: the file contains the run already.
    Raises RecordError: the file cannot be written, or the layout of its evidence does not allow to insert a line.
    """
    before = Document.read(path).decode(Hypothesis)
    if any(item.run == evidence.run for item in before.evidence):
        raise UsageError(f"{path}: the evidence already contains run {evidence.run}")
    new = add_evidence(path.read_text(), evidence)
    expected = msgspec.structs.replace(before, status=evidence.outcome, evidence=(evidence, *before.evidence))
    trial = path.with_suffix(".new")
    try:
        write_atomically(trial, new.encode())
        read = Document.read(trial).decode(Hypothesis)
    except SpecError:
        read = None
    finally:
        trial.unlink(missing_ok=True)
    if read != expected:
        raise RecordError(
            "`status` and `evidence` must be top-level keys in block style to be changed automatically; "
            f"add this by hand: {_item(evidence)}",
            path=path,
        )
    write_atomically(path, new.encode())


def add_evidence(text: str, evidence: Evidence) -> str:
    """Return the YAML of a hypothesis with its status replaced and one item of evidence added."""
    status = f"status: {evidence.outcome}"
    text = text.rstrip("\n") + "\n"
    text = _STATUS.sub(status, text, count=1) if _STATUS.search(text) else f"{text}{status}\n"
    item = f"evidence:\n  - {_item(evidence)}\n"
    return _EVIDENCE.sub(item, text, count=1) if _EVIDENCE.search(text) else f"{text}{item}"


def _item(evidence: Evidence) -> str:
    values = {key: value for key, value in msgspec.to_builtins(evidence).items() if value is not None}
    return "{" + ", ".join(f"{key}: {value}" for key, value in values.items()) + "}"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
