"""`tokgate hypothesis`: list and show claims, and record the outcome of a run."""

from __future__ import annotations

from typing import Annotated

import typer

from tokgate._exceptions import SpecError
from tokgate.cli.options import FIXTURES, RUNS, Fixtures, Runs, catalogue
from tokgate.cli.output import echo

app = typer.Typer(help="Claims that experiments confirm or refute.", no_args_is_help=True)
Id = Annotated[str, typer.Argument(metavar="ID", help="The hypothesis: its file's name without .yaml.")]


@app.command("list")
def list_(fixtures: Fixtures = FIXTURES) -> None:
    """List every hypothesis: status, name, title; exit 1 if the file of one is wrong."""
    declared, wrong = catalogue(fixtures), 0
    for name in declared.names("hypotheses"):
        try:
            hypothesis = declared.hypothesis(name)
        except SpecError as error:
            wrong += 1
            echo(str(error), err=True)
        else:
            echo(f"{hypothesis.status:10} {name:24} {hypothesis.title}")
    raise typer.Exit(1 if wrong else 0)


@app.command()
def show(name: Id, fixtures: Fixtures = FIXTURES) -> None:
    """Show one hypothesis: its source, arms, workload, claim and rival, and the evidence so far."""
    import json

    import msgspec

    hypothesis = catalogue(fixtures).hypothesis(name)
    for key, value in msgspec.to_builtins(hypothesis).items():
        if key != "evidence" and value not in (None, {}):
            echo(f"{key:10} {value if isinstance(value, str) else json.dumps(value)}")
    for item in msgspec.to_builtins(hypothesis.evidence):
        echo(f"{'evidence':10} " + ", ".join(f"{k} {v}" for k, v in item.items() if v is not None))


@app.command()
def settle(
    name: Id,
    run: Annotated[str, typer.Option("--run", help="A run ID or its beginning, its folder, or `latest`.")],
    fixtures: Fixtures = FIXTURES,
    runs: Runs = RUNS,
) -> None:
    """Write the status and evidence of a run into the YAML of the hypothesis; review it with `git diff` and commit.

    Rejects a run in which the hypothesis was neither confirmed nor refuted.
    """
    from tokgate.store.hypotheses import make_evidence, write_evidence
    from tokgate.store.runs import read_one_run

    declared = catalogue(fixtures)
    declared.hypothesis(name)
    evidence = make_evidence(read_one_run(runs, run), name)
    path = fixtures / "hypotheses" / f"{name}.yaml"
    write_evidence(path, evidence)
    echo(f"{name}: {evidence.outcome}; wrote {path}")
