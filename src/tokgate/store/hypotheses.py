"""A hypothesis' file: what a run found, written into it with everything else left as it stands."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import msgspec

from tokgate._exceptions import RecordError, SpecError, UsageError
from tokgate.config.hypothesis import Evidence, Hypothesis
from tokgate.config.load import Document
from tokgate.judge.verdict import Outcome
from tokgate.store.files import write_atomically
from tokgate.store.runs import RunRecord

_STATUS = re.compile(r"^status:.*$", re.MULTILINE)
_EVIDENCE = re.compile(r"^evidence:[ ]*(\[\])?[ ]*$\n?", re.MULTILINE)


def evidence_of(run: RunRecord, name: str) -> Evidence:
    """What `run` found of hypothesis `name`. Raises UsageError unless that is confirmed or refuted."""
    found = [one for one in run.verdicts if one.kind == "hypothesis" and one.hypothesis == name]
    settled = [one for one in found if one.outcome in (Outcome.CONFIRMED, Outcome.REFUTED)]
    if not settled:
        seen = f"found it {found[-1].outcome}: {found[-1].reason}" if found else "did not test it"
        raise UsageError(
            f"hypothesis {name}: run {run.run_id} {seen}. Only a confirmed or refuted one can be settled; "
            "run it again, with more --tokgate-blocks if it was inconclusive"
        )
    verdict = settled[-1]
    return Evidence(
        date=date.fromisoformat(run.started[:10]),
        run=run.run_id,
        outcome=str(verdict.outcome),
        ratio=_rounded(verdict.ratio),
        ci_low=_rounded(verdict.ci_low),
        ci_high=_rounded(verdict.ci_high),
        blocks=verdict.launches // 4 or None,
    )


def write_evidence(path: Path, evidence: Evidence) -> None:
    """Set `status` in the file and put `evidence` first of its list; comments and order stay.

    Raises UsageError: the run is in it already; RecordError: the file cannot be written, or its evidence
    is laid out in a way that a line cannot be added to.
    """
    before = Document.read(path).decode(Hypothesis)
    if any(one.run == evidence.run for one in before.evidence):
        raise UsageError(f"{path}: run {evidence.run} is in its evidence already")
    new = with_evidence(path.read_text(), evidence)
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
            "`status` and `evidence` must be block style at the left margin to be settled by a tool; "
            f"write it by hand: {_item(evidence)}",
            path=path,
        )
    write_atomically(path, new.encode())


def with_evidence(text: str, evidence: Evidence) -> str:
    """The text of a hypothesis' YAML with its status replaced and one item of evidence added."""
    status = f"status: {evidence.outcome}"
    text = text.rstrip("\n") + "\n"
    text = _STATUS.sub(status, text, count=1) if _STATUS.search(text) else f"{text}{status}\n"
    item = f"evidence:\n  - {_item(evidence)}\n"
    return _EVIDENCE.sub(item, text, count=1) if _EVIDENCE.search(text) else f"{text}{item}"


def _item(evidence: Evidence) -> str:
    given = {key: value for key, value in msgspec.to_builtins(evidence).items() if value is not None}
    return "{" + ", ".join(f"{key}: {value}" for key, value in given.items()) + "}"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
