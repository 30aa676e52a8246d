"""Which images a search is about, and what it says before and after."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from tokgate._exceptions import SpecError, UsageError
from tokgate.cli import app
from tokgate.config.server import DockerLaunch
from tokgate.engines.specs import open_catalogue
from tokgate.judge.bisect import Bisection, Step
from tokgate.machine.fingerprint import Fingerprint
from tokgate.measure.measurement import Measurement
from tokgate.report.bisect import describe_result, describe_step
from tokgate.store.runs import RunRecord
from tokgate.suite.bisect import list_images
from tokgate.suite.plan import make_image_cases

FIXTURES = open_catalogue(Path(__file__).parents[3] / "fixtures")
IMAGES = ("r:1", "r:2", "r:3", "r:4")


@pytest.mark.parametrize(
    ("good", "tags", "row"),
    [
        ("vllm:1", ["2", "3"], ("vllm:1", "vllm:2", "vllm:3", "vllm:9")),
        ("ghcr.io:443/a/b:1", ["2"], ("ghcr.io:443/a/b:1", "ghcr.io:443/a/b:2", "vllm:9")),
        ("a/b", ["2", "c/d:3"], ("a/b", "a/b:2", "c/d:3", "vllm:9")),
        ("a/b@sha256:00", ["2"], ("a/b@sha256:00", "a/b:2", "vllm:9")),
        ("vllm:1", ["1", "2", "9"], ("vllm:1", "vllm:2", "vllm:9")),
    ],
)
def test_tags_are_of_the_good_images_repository(good: str, tags: list[str], row: tuple[str, ...]) -> None:
    assert list_images(good, "vllm:9", tags) == row


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ([], "names no image between"),
        (["", "1", "9"], "names no image between"),
        (["2", "2"], "duplicate image vllm:2"),
        (["2", "1"], "duplicate image vllm:1"),
    ],
)
def test_bad_sequences_are_rejected(tags: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        list_images("vllm:1", "vllm:9", tags)


def test_a_servers_images_differ_in_nothing_else() -> None:
    cells = make_image_cases(FIXTURES, "llamacpp-cpu", "chat-c1", ["r:1", "r:2"])
    (one, two) = (cell.server for cell in cells.values())
    assert isinstance(one.launch, DockerLaunch)
    assert isinstance(two.launch, DockerLaunch)
    assert (one.name, two.name, two.launch.image) == ("llamacpp-cpu/r:1", "llamacpp-cpu/r:2", "r:2")
    assert msgspec.structs.replace(two.launch, image="r:1") == one.launch
    for images in (["a/r:1", "a/r:2"], ["a/r:1", "b/r:1"]):
        names = {cell.server.name for cell in make_image_cases(FIXTURES, "llamacpp-cpu", "chat-c1", images).values()}
        assert len(names) == 2
    assert names == {"llamacpp-cpu/a/r:1", "llamacpp-cpu/b/r:1"}
    with pytest.raises(UsageError, match="embedded-smollm2 is not a container"):
        make_image_cases(FIXTURES, "embedded-smollm2", "chat-c1", ["r:1"])
    with pytest.raises(SpecError, match="no longer accepts --swap-space"):
        open_catalogue(FIXTURES.root).server("vllm-cpu", {"launch": {"image": "vllm:0.20.0", "args": ["--swap-space"]}})


def step(image: str, finding: str, ratio: float = 0.8, **more: object) -> Step:
    figures = {"ratio": ratio, "low": ratio - 0.02, "high": ratio + 0.02, "good": 10.0, "own": 10 * ratio}
    return Step(image=image, finding=finding, launches=8, **figures | more)  # type: ignore[arg-type]


def told(measurement: Measurement, *steps: Step, **found: object) -> str:
    """The ending; each image of it was launched once."""
    record = RunRecord(
        run_id="r",
        started="2026-01-01T00:00:00.000+00:00",
        tokgate="0",
        command=(),
        profile="bisect",
        baselines="local/x",
        fingerprint=Fingerprint({}),
        conditions={},
        measurements=tuple(
            msgspec.structs.replace(
                measurement,
                server=f"s/{image}",
                facts=msgspec.structs.replace(
                    measurement.facts, image=image, image_id=f"sha256:{at}", engine_version=f"v{at}\x1b[2J"
                ),
            )
            for at, image in enumerate(IMAGES)
        ),
    )
    bisection = Bisection(images=IMAGES, metric="decode_tps", level=0.05, steps=steps, **found)  # type: ignore[arg-type]
    created = {"r:2": "2026-01-02", "r:3": "2026-01-03"}
    return "\n".join(describe_result(bisection, record, created))


def test_the_result_shows_what_differs(bare_measurement: Measurement) -> None:
    """The first slow image is shown with its differences to the last fast one."""
    steps = step("r:4", "slow"), step("r:2", "fast", 1.0), step("r:3", "slow", 0.79)
    said = told(bare_measurement, *steps, last_fast="r:2", first_slow="r:3")
    assert said.splitlines() == [
        "first slow image: r:3 (sha256:2)",
        "last fast image:  r:2 (sha256:1)",
        "decode_tps: 7.900 tok/s against 10.00 tok/s of the good image, ratio 0.790 (0.770–0.810, 8 launches)",
        "4 launches in 3 steps; the answer is wrong in at most 5 % of searches",
        r"differs: engine_version: v1\x1b[2J → v2\x1b[2J",
        "differs: image: r:2 → r:3",
        "differs: image_digest: sha256:1 → sha256:2",
        "differs: created: 2026-01-02 → 2026-01-03",
    ]


def test_a_range_names_all_candidates(bare_measurement: Measurement) -> None:
    failed = Step(image="r:3", finding="failed", why="does not start: \x1b[31mno such option")
    steps = step("r:4", "slow"), step("r:2", "fast", 1.0), failed
    said = told(bare_measurement, *steps, last_fast="r:2", first_slow="r:4", between=("r:3",), stopped="why")
    assert said.startswith("the first slow image is one of r:3, r:4\nlast fast image:  r:2")
    assert "stopped: why" in said
    assert describe_step("decode_tps", failed) == r"r:3: left out: does not start: \x1b[31mno such option"


@pytest.mark.parametrize(
    ("steps", "stopped", "says"),
    [
        (
            [step("r:4", "undecided", 0.99, sees=0.04)],
            "",
            "no slowdown of the bad image is shown, ratio 0.990",
        ),
        (
            [step("r:4", "undecided", 0.99, sees=0.04)],
            "",
            "smallest detectable slowdown: 4 % (at 80 % power)",
        ),
        ([step("r:4", "fast", 1.2)], "", "not reproduced: the bad image is faster"),
        ([], "the budget was spent", "cannot tell: the budget was spent before good and bad"),
    ],
)
def test_not_reproduced(bare_measurement: Measurement, steps: list[Step], stopped: str, says: str) -> None:
    """A slowdown that is not reproduced says which one could have been detected."""
    assert says in told(bare_measurement, *steps, last_fast="r:1", first_slow="r:4", stopped=stopped)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"--metric": "goodput_rps"}, "--metric goodput_rps: workload chat-c1 gates decode_tps"),
        ({"--budget": "soon"}, "--budget: expected"),
        ({"--tags": ","}, "names no image between"),
        ({"--server": "embedded-smollm2"}, "is not a container"),
    ],
)
def test_wrong_usage_is_found_before_docker_is_asked(options: dict[str, str], said: str) -> None:
    asked = {"--good": "r:1", "--bad": "r:3", "--tags": "2", "--server": "llamacpp-cpu"}
    asked |= {"--workload": "chat-c1", "--fixtures": str(FIXTURES.root)} | options
    done = CliRunner().invoke(app, ["bisect", *(word for pair in asked.items() for word in pair)])
    assert isinstance(done.exception, UsageError)
    assert said in str(done.exception)
