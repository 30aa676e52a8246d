"""What accepting a baseline changes, as text."""

from __future__ import annotations

from tokgate.config.words import format_count, format_figure, format_ratio
from tokgate.measure.metrics import compute_geometric_mean
from tokgate.store.baselines import Candidate, explain_other_server


def describe_acceptance(candidate: Candidate) -> str:
    """Each metric and what it replaces: geometric means over launches and their ratio; then what speaks against it."""
    old, new = candidate.old, candidate.new
    replaced = f", replacing {old.source} of {old.date}" if old else ", the first baseline"
    if old and old.forced:
        replaced += f" (accepted by force: {old.forced})"
    lines = [f"{new.server}: {new.source}{replaced}"]
    other = explain_other_server(old, new.server, new.identity) if old else None
    if other:
        lines.append(f"  not compared with the old one: {other}")
    if new.quiet:
        lines.append(f"  {new.quiet.describe_own()}")
    for workload, cell in new.cells.items():
        if cell.source is not None:
            lines.append(f"  {workload}: kept from {cell.source} of {cell.date}, this run did not measure it")
            continue
        before = old.cells.get(workload) if old and not other else None
        for metric, values in cell.metrics.items():
            now, was = (
                compute_geometric_mean(values),
                compute_geometric_mean(before.metrics.get(metric, ()) if before else ()),
            )
            launches = format_count(len(values), "launch")
            line = f"  {workload} {metric}: {format_figure(metric, now)} ({launches})"
            if now is not None and was is not None:
                line += f", was {format_figure(metric, was)} (ratio {format_ratio(now / was)})"
            lines.append(line)
    if old and old.canary and new.canary:
        stored = old.canary.texts
        lines += [
            f"  {question}: answers {text!r}, was {stored.get(question)!r}"
            for question, text in new.canary.texts.items()
            if text != stored.get(question)
        ]
    gone = sorted(set(old.cells) - set(new.cells)) if old else []
    lines += [f"  {workload}: no longer in the baseline, this run did not measure it" for workload in gone]
    lines += [f"  against it: {objection}" for objection in candidate.objections]
    return "\n".join(lines)
