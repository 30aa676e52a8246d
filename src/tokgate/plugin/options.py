"""The plugin's options: one group of `pytest --help`, parsed once into one frozen struct."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from tokgate._printable import escape_text
from tokgate.config.units import Duration

_MOST = 1000
"""Launches of a server, or blocks of a hypothesis: months of measuring, and each launch is a test to collect."""

if TYPE_CHECKING:
    from tokgate.config.box_address import BoxAddress


# A dataclass: msgspec would be imported into every pytest session of an environment that contains tokgate.
@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of this session, checked.

    profile: `auto`, the name of a profile, or the path of one.
    servers: only these servers of the profile; empty for all.
    url: a running server to measure instead of those of the profile; None for none.
    model: the model to request from the server at `url`.
    against: what to compare the servers with in this run, instead of stored baselines; None for those.
    boxes: where to run the suite; empty for this machine.
    launches: of each server; None for the number in the profile.
    budget: the time limit of the run in seconds, or the profile's `night`; None for the profile's `budget`, if any.
    plan: print the plan and start nothing.
    blocks: blocks for each hypothesis, unless a budget limits them.
    again: test hypotheses again whose verdict is known from earlier runs.
    require: fail what could not be checked, instead of skipping it.
    strict: fail inconclusive verdicts.
    out: the folder of run records.
    report: the link to create to the folder that contains the report; None for no report.
    wait: wait for another run on this machine to end.
    """

    profile: str
    servers: tuple[str, ...]
    url: str | None
    model: str | None
    against: str | None
    boxes: tuple[BoxAddress, ...]
    launches: int | None
    budget: float | Literal["night"] | None
    plan: bool
    blocks: int
    again: bool
    require: bool
    strict: bool
    out: Path
    report: Path | None
    wait: bool


OPTIONS: pytest.StashKey[Options] = pytest.StashKey()


def add_options(parser: pytest.Parser) -> None:
    """Declare the options. argparse only stores their text: `parse_options` checks it and names the option."""
    group = parser.getgroup("tokgate", "tokgate: speed of LLM servers (-m perf)")
    option = group.addoption
    option(
        "--tokgate-profile",
        default="auto",
        metavar="auto|NAME|PATH",
        help="which servers and workloads to run: a profile of fixtures/profiles, the path of a YAML file, or auto: "
        "gfx1151 if this machine has that GPU and a Docker daemon, else embedded (default: auto)",
    )
    option(
        "--tokgate-server",
        action="append",
        default=[],
        metavar="NAME",
        help="measure only this server of the profile; repeat the option for more",
    )
    option(
        "--tokgate-url",
        metavar="URL",
        help="measure the server that is running at this URL under the workloads of the profile; requires "
        "--tokgate-model",
    )
    option("--tokgate-model", metavar="ID", help="the model to request from the server at --tokgate-url")
    option(
        "--tokgate-against",
        metavar="WHAT",
        help="compare each server with another one in this run, in turns, instead of with stored baselines, which a "
        "shared or noisy machine does not allow. WHAT: an image, another server of fixtures/servers, a run (its ID, or "
        "latest) whose image and arguments are used again, or main=IMAGE,pr=IMAGE",
    )
    option(
        "--tokgate-hosts",
        metavar="HOST,…",
        help="run the suite on each of these boxes and compare them: ssh://[USER@]HOST[:PORT][/CHECKOUT] (default "
        "checkout: tokgate in the home folder), or unix:///PATH of a Docker daemon on this machine",
    )
    option(
        "--tokgate-launches",
        metavar="N",
        help="launches (replicates) of each server, without a time limit; a verdict needs at least 2 (default: set by "
        "the profile, where it has no budget)",
    )
    option(
        "--tokgate-budget",
        metavar="TIME|night",
        help="plan the launches so that the run ends within this time (45m, 1h30m; night: the profile's `night`): what is "
        "decided stops early, and the time it saves goes to noisy cells; cannot be combined with --tokgate-launches "
        "(default: the profile's `budget`, unless --tokgate-launches is given)",
    )
    option(
        "--tokgate-plan",
        action="store_true",
        help="print what would run, how long it would take and the smallest drop each cell can detect; start nothing",
    )
    option(
        "--tokgate-blocks",
        default="2",
        metavar="N",
        help="blocks of launches (A B B A) for each hypothesis; with a budget, as many as there is time for "
        "(default: 2)",
    )
    option(
        "--tokgate-again",
        action="store_true",
        help="test hypotheses again whose verdict is known from an earlier run (one is known while nothing that it depends "
        "on has changed, for the profile's shelf_life)",
    )
    option(
        "--tokgate-require",
        action="store_true",
        help="fail what could not be checked instead of skipping it, and a run that lacks a planned verdict",
    )
    option("--tokgate-strict", action="store_true", help="fail a verdict that is inconclusive")
    option(
        "--tokgate-out",
        default="runs",
        metavar="DIR",
        help="the folder of run records, one subfolder for each run (default: runs)",
    )
    option(
        "--tokgate-report",
        metavar="LINK",
        help="write report.html and report.md into the folder of the run, however it ends, and create LINK to it",
    )
    option(
        "--tokgate-no-wait",
        action="store_true",
        help="fail at once if another run is measuring on this machine, instead of waiting for it to end",
    )


def parse_options(config: pytest.Config) -> Options:
    """Check the options, each by itself and together. Raises pytest's UsageError, which names the option."""
    option = config.option
    options = Options(
        profile=option.tokgate_profile,
        servers=tuple(option.tokgate_server),
        url=option.tokgate_url,
        model=option.tokgate_model,
        boxes=_parse_boxes(option.tokgate_hosts),
        against=option.tokgate_against,
        launches=_parse_count("--tokgate-launches", option.tokgate_launches),
        budget=_parse_budget(option.tokgate_budget),
        plan=option.tokgate_plan,
        blocks=_parse_count("--tokgate-blocks", option.tokgate_blocks) or 0,
        again=option.tokgate_again,
        require=option.tokgate_require,
        strict=option.tokgate_strict,
        out=Path(option.tokgate_out),
        report=None if option.tokgate_report is None else Path(option.tokgate_report),
        wait=not option.tokgate_no_wait,
    )
    if options.url and not options.model:
        raise pytest.UsageError("--tokgate-url requires --tokgate-model")
    if options.model and not options.url:
        raise pytest.UsageError("--tokgate-model requires --tokgate-url")
    if isinstance(options.budget, float) and options.launches is not None:
        raise pytest.UsageError(
            "--tokgate-budget cannot be combined with --tokgate-launches: the budget decides how many launches there are"
        )
    if options.against is not None and (options.launches is not None or options.plan):
        raise pytest.UsageError(
            f"--tokgate-against cannot be combined with {'--tokgate-plan' if options.plan else '--tokgate-launches'}: "
            "it measures launch pairs until every cell is decided; --tokgate-budget limits their time"
        )
    if options.boxes and (options.plan or options.url):
        raise pytest.UsageError(
            f"--tokgate-hosts cannot be combined with {'--tokgate-plan' if options.plan else '--tokgate-url'}: "
            "each box makes its own plan and starts its own servers"
        )
    return options


def check_root(config: pytest.Config) -> None:
    """Check that pytest found the project's folder. Raises pytest's UsageError.

    pytest looks for that folder before it knows the options of plugins: it then takes the PATH of
    `--tokgate-profile PATH` for a folder of tests, and that folder's parent for the project's.
    """
    if (config.rootpath / "fixtures").is_dir():
        return
    words = [*map(str, config.invocation_params.args)]
    misread = [
        f"{option}={path}"
        for option, path in pairwise(words)
        if option in ("--tokgate-out", "--tokgate-profile", "--tokgate-report") and Path(path).exists()
    ]
    remedy = f"write {' '.join(misread)} with an equals sign" if misread else "run pytest in the folder of conftest.py"
    raise pytest.UsageError(
        f"pytest uses {config.rootpath} as the project's folder, but it contains no fixtures/. Next: {remedy}"
    )


def check_plugins(config: pytest.Config) -> None:
    """Check that the plugins are there without which the suite cannot measure. Raises pytest's UsageError."""
    if not hasattr(config.option, "benchmark_json"):
        raise pytest.UsageError(
            "-m perf requires pytest-benchmark, whose fixture its measuring tests use. Next: leave out -p no:benchmark"
        )


def _parse_boxes(text: str | None) -> tuple[BoxAddress, ...]:
    if text is None:
        return ()
    from tokgate.config.box_address import parse_box_addresses

    try:
        return parse_box_addresses(text)
    except ValueError as error:
        raise pytest.UsageError(escape_text(f"--tokgate-hosts: {error}")) from error


def _parse_count(option: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        count = int(text)
    except ValueError:
        raise pytest.UsageError(f"{option} must be a whole number (got {text!r})") from None
    if count < 1:
        raise pytest.UsageError(f"{option} must be at least 1 (got {count})")
    if count > _MOST:
        raise pytest.UsageError(f"{option} must be at most {_MOST} (got {count})")
    return count


def _parse_budget(text: str | None) -> float | Literal["night"] | None:
    if text is None:
        return None
    if text == "night":
        return "night"
    try:
        seconds = Duration.parse(text)
    except ValueError as error:
        raise pytest.UsageError(f"--tokgate-budget: {error}") from error
    if seconds <= 0:
        raise pytest.UsageError(f"--tokgate-budget must be more than 0 (got {text})")
    return float(seconds)
