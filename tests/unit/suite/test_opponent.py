"""What --tokgate-against names, and what cannot be compared."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from tokgate._exceptions import UsageError
from tokgate.config.catalogue import Catalogue
from tokgate.config.server import DockerLaunch
from tokgate.measure.measurement import Measurement
from tokgate.store.runs import RunWriter
from tokgate.suite.opponent import set_opponent
from tokgate.suite.plan import RunPlan, plan_run
from tokgate.suite.record import make_first_record

DIGEST = "sha256:" + "0123456789abcdef" * 4


def oppose(catalogue: Catalogue, what: str, *, profile: str = "container", out: Path = Path("none")) -> RunPlan:
    """The plan of a profile against this."""
    return set_opponent(plan_run(catalogue, profile=profile), what, catalogue, out)


def read_images(plan: RunPlan, server: str) -> tuple[str, str]:
    """The images of a server and of what it is compared with."""
    assert plan.opponent is not None
    launches = (plan.cases_of(server)[0].server.launch, plan.opponent.cases[server][0].server.launch)
    candidate, reference = (launch for launch in launches if isinstance(launch, DockerLaunch))
    return candidate.image, reference.image


@pytest.mark.parametrize(
    ("what", "label"),
    [
        ("ghcr.io/me/llm:main", "llm:main"),
        ("localhost:5000/llm", "llm"),
        (f"ghcr.io/me/llm@{DIGEST}", "llm@0123456789ab"),
        (DIGEST, "sha256:0123456789ab"),
    ],
)
def test_an_image(catalogue: Catalogue, what: str, label: str) -> None:
    """Every container of the profile, with that image in the reference arm; all of its workloads."""
    plan = oppose(catalogue, what)
    assert plan.opponent is not None
    assert plan.opponent.label == label
    assert read_images(plan, "llamacpp-cpu") == ("tokgate/llama-cpu", what)
    names = {case.server.name for case in plan.opponent.cases["llamacpp-cpu"]}
    assert names == {f"llamacpp-cpu/{label}"}
    workloads = [case.workload.name for case in plan.opponent.cases["llamacpp-cpu"]]
    assert workloads == [case.workload.name for case in plan.cases_of("llamacpp-cpu")]


def test_two_images(catalogue: Catalogue) -> None:
    plan = oppose(catalogue, "main=me/llm:main,pr=me/llm:pr-12")
    assert plan.opponent is not None
    assert plan.opponent.label == "main"
    assert read_images(plan, "llamacpp-cpu") == ("me/llm:pr-12", "me/llm:main")


def test_another_server(catalogue: Catalogue) -> None:
    """Not with itself; the hypotheses of the profile are left out."""
    plan = oppose(catalogue, "llamacpp-cpu", profile="embedded")
    assert plan.opponent is not None
    assert list(plan.opponent.cases) == ["embedded-smollm2"]
    assert plan.experiments == ()
    with pytest.raises(UsageError, match=r"nothing to compare\. It is the only server"):
        oppose(catalogue, "llamacpp-cpu")


def test_another_model(catalogue: Catalogue) -> None:
    """Its speed says nothing; another quantization of the same model does."""
    with pytest.raises(UsageError, match="they serve different models, smollm2-135m-instruct and "):
        oppose(catalogue, "vllm-current", profile="embedded")


def test_a_run(catalogue: Catalogue, bare_measurement: Measurement, tmp_path: Path) -> None:
    """The image and the arguments that it recorded, on the port of this run."""
    plan = plan_run(catalogue, profile="container")
    facts = msgspec.structs.replace(
        bare_measurement.facts,
        base_url="http://127.0.0.1:18099",
        model="smollm2-135m-instruct",
        image_id=DIGEST,
        args=("/usr/bin/serve", "--port", "18099", "--threads", "3"),
    )
    record = make_first_record(plan, run_id="20260101T000000Z-abc", command=())
    writer = RunWriter(tmp_path / "20260101T000000Z-abc", record)
    writer.add_measurement(msgspec.structs.replace(bare_measurement, server="llamacpp-cpu", facts=facts))
    for name in ("20260101T000000Z-abc", "latest", str(writer.folder)):
        opponent = oppose(catalogue, name, out=tmp_path).opponent
        assert opponent is not None
        launch = opponent.cases["llamacpp-cpu"][0].server.launch
        assert isinstance(launch, DockerLaunch)
        assert (launch.image, launch.entrypoint) == (DIGEST, "/usr/bin/serve")
        assert launch.args == ("--port", "{port}", "--threads", "3")
    with pytest.raises(UsageError, match="run 20260101T000000Z-abc did not measure it"):
        oppose(catalogue, "latest", profile="embedded", out=tmp_path)


@pytest.mark.parametrize(
    ("what", "profile", "message"),
    [
        ("tokgate/llama-cpu", "container", "it is the same image, tokgate/llama-cpu"),
        ("me/llm:1", "embedded", "it is not a container, so it has no image"),
        ("lamacpp-cpu!", "container", "expected an image, a server, a run, or LABEL=IMAGE,LABEL=IMAGE; .*llamacpp-cpu"),
        ("main=a", "container", "expected two images, the one to compare with first"),
        ("a=x,a=y", "container", "duplicate label a"),
    ],
)
def test_what_cannot_be_compared(catalogue: Catalogue, what: str, profile: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        oppose(catalogue, what, profile=profile)
    assert re.match(r"--tokgate-against ", str(raised.value))
