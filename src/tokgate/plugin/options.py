"""The plugin's options, in one group of `pytest --help`, and what they ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tokgate.config.units import Duration

if TYPE_CHECKING:
    from tokgate.config.box_address import BoxAddress
    from tokgate.suite.plan import RunPlan


def add_options(parser: pytest.Parser) -> None:
    group = parser.getgroup("tokgate", "tokgate: speed of LLM servers (-m perf)")
    option = group.addoption
    option(
        "--tokgate-profile",
        default="auto",
        metavar="auto|NAME|PATH",
        help="servers × workloads to run: a profile of fixtures/profiles, a YAML file, or auto: gfx1151 when "
        "the KFD topology shows 110501 and Docker answers, else embedded (default: auto)",
    )
    option(
        "--tokgate-server",
        action="append",
        default=[],
        metavar="NAME",
        help="only this server of the profile; may be given again",
    )
    option(
        "--tokgate-url",
        metavar="URL",
        help="measure the server that is already up there, under the profile's workloads; with --tokgate-model",
    )
    option("--tokgate-model", metavar="ID", help="the model to ask the server at --tokgate-url for")
    option(
        "--tokgate-hosts",
        type=_hosts,
        metavar="HOST,…",
        help="run the suite on each of these boxes and compare them: ssh://[USER@]HOST[:PORT][/CHECKOUT] (default: "
        "tokgate in the home folder there), or unix:///PATH of a Docker engine of this machine",
    )
    option(
        "--tokgate-launches",
        type=_launches,
        metavar="N",
        help="launches (replicates) of each server; below 2 nothing can be decided (default: the profile's)",
    )
    option(
        "--tokgate-budget",
        type=_budget,
        metavar="TIME",
        help="plan launches so that the run ends within this time (45m, 1h30m), stop what is decided early and "
        "give the time it saves to what is noisy; instead of --tokgate-launches",
    )
    option(
        "--tokgate-plan",
        action="store_true",
        help="print what would be run, how long it takes and the drop each cell would see, and start nothing",
    )
    option(
        "--tokgate-blocks",
        type=_launches,
        default=2,
        metavar="N",
        help="blocks A B B A of each hypothesis, four launches a block; a budget gives as many as it has time "
        "for (default: 2)",
    )
    option(
        "--tokgate-require",
        action="store_true",
        help="what could not be checked fails instead of being skipped",
    )
    option(
        "--tokgate-strict",
        action="store_true",
        help="an inconclusive verdict fails: the run must be able to tell",
    )
    option(
        "--tokgate-out",
        default="runs",
        metavar="DIR",
        help="where run records go, a folder each (default: runs)",
    )
    option(
        "--tokgate-report",
        metavar="LINK",
        help="however the run ends, write report.html and report.md into its folder, and make LINK point there",
    )
    option(
        "--tokgate-no-wait",
        action="store_true",
        help="fail at once when another run measures on this machine, instead of waiting for it",
    )


def asked_for(config: pytest.Config) -> RunPlan:
    """What the options ask to run on this machine. Raises SpecError, UsageError (tokgate's and pytest's)."""
    from tokgate.engines.specs import open_catalogue
    from tokgate.suite.plan import AttachTarget, plan_run

    option, launches = config.option, config.option.tokgate_launches
    if option.tokgate_budget is not None:
        from tokgate.judge.plan import MOST_LAUNCHES

        if launches is not None:
            raise pytest.UsageError(
                "--tokgate-budget plans the launches; leave out --tokgate-launches, or the budget"
            )
        launches = MOST_LAUNCHES + 1  # and a fresh one; what the budget cannot come to is left out later
    if bool(option.tokgate_url) != bool(option.tokgate_model):
        raise pytest.UsageError("--tokgate-url and --tokgate-model go together: where, and which model")
    if not (config.rootpath / "fixtures").is_dir():
        # pytest looks for its root before it knows our options: `--tokgate-out DIR` is then two words to it.
        raise pytest.UsageError(
            f"{config.rootpath} has no fixtures/, and pytest takes it for the project's folder. Run this where "
            "conftest.py is; write --tokgate-out=DIR with an equals sign, or pytest takes DIR for a folder of tests"
        )
    return plan_run(
        open_catalogue(config.rootpath / "fixtures"),
        profile=option.tokgate_profile,
        servers=option.tokgate_server,
        attach=AttachTarget(url=option.tokgate_url, model=option.tokgate_model)
        if option.tokgate_url
        else None,
        launches=launches,
    )


def _hosts(text: str) -> tuple[BoxAddress, ...]:
    from tokgate.config.box_address import parse_box_addresses

    try:
        return parse_box_addresses(text)
    except ValueError as error:
        raise pytest.UsageError(f"--tokgate-hosts: {error}") from error


def _launches(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise pytest.UsageError(f"{text}: expected a whole number of launches or blocks, 1 or more")
    return int(text)


def _budget(text: str) -> Duration:
    try:
        seconds = Duration.parse(text)
    except ValueError as error:
        raise pytest.UsageError(f"--tokgate-budget: {error}") from error
    if seconds <= 0:
        raise pytest.UsageError(f"--tokgate-budget {text}: a budget is more than nothing")
    return seconds
