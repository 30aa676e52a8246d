"""Bad input, and everything that can break while the suite runs: said clearly, nothing left running, figures kept."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tokgate.config.catalogue import Catalogue
from tokgate.launch.start import start

Eventually = Callable[[Callable[[], bool]], None]
USAGE, BROKEN = 4, 6


@pytest.fixture
def long_project(project: Any) -> Any:
    """`brief`, then `long`, of which no stream ends while a test looks at it."""
    project.workload("long", requests=4, max_tokens=3000)
    project.profile("long", "embedded-smollm2", "brief", "long", launches=1)
    return project


def server_of(pid: int) -> psutil.Process | None:
    """The llama.cpp server that a run has started; None while there is none."""
    try:
        for child in psutil.Process(pid).children(recursive=True):
            if "tokgate.launch.llama_server" in " ".join(child.cmdline()):
                return child
    except psutil.NoSuchProcess:
        pass
    return None


def gone(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def in_the_middle(project: Any, eventually: Eventually) -> tuple[subprocess.Popen[str], psutil.Process]:
    """A run of `long`: `brief` is on disk, a stream of `long` flows; and its server."""
    process = project.start("--tokgate-profile", "long")
    eventually(lambda: bool(project.runs) and bool(project.record()["measurements"]))
    server = server_of(process.pid)
    assert server is not None
    return process, server


def kept(project: Any) -> None:
    """What was measured before is readable, and told from a complete run."""
    record = project.record()
    assert [one["workload"] for one in record["measurements"]] == ["brief"]
    assert record["measurements"][0]["metrics"]["decode_tps"] > 0
    assert record["ended"] is None


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("--tokgate-profile", "embeded"), "embedded"),
        (("--tokgate-profile", "brief", "--tokgate-server", "embedded-smolm2"), "embedded-smollm2"),
        (
            ("--tokgate-profile", "brief", "--tokgate-launches", "0"),
            "--tokgate-launches must be at least 1 (got 0)",
        ),
        (("--tokgate-url", "http://127.0.0.1:9"), "--tokgate-url requires --tokgate-model"),
        (("--tokgate-profile", "brief", "-n", "2"), "two servers at once would share"),
    ],
    ids=["profile", "server", "launches", "url-alone", "xdist"],
)
def test_wrong_options_are_usage_errors(project: Any, args: tuple[str, ...], expected: str) -> None:
    finished = project.perf(*args)
    assert finished.code == USAGE
    assert expected in finished.output
    assert "Traceback" not in finished.output
    assert not project.runs


def test_typo_in_a_spec_names_file_line_and_key(project: Any) -> None:
    """The error about a typo in a spec has file, line, key and the right name."""
    workload = project.folder / "fixtures" / "workloads" / "brief.yaml"
    workload.write_text(workload.read_text().replace("max_tokens", "max_token"))
    finished = project.perf("--tokgate-profile", "brief")
    assert finished.code == USAGE
    assert "brief.yaml:4" in finished.output
    assert "max_token" in finished.output
    assert "max_tokens" in finished.output
    assert "Traceback" not in finished.output


def test_a_wrong_model_id_names_those_the_server_has(project: Any, catalogue: Catalogue, tmp_path: Path) -> None:
    with start(catalogue.server("embedded-smollm2"), log_dir=tmp_path / "own") as server:
        url = server.facts.base_url
        finished = project.perf("--tokgate-profile", "brief", "--tokgate-url", url, "--tokgate-model", "smolm")
        server.check_alive()
    assert finished.code not in (0, 5)
    assert "smolm" in finished.output
    assert "smollm2-135m-instruct" in finished.output
    assert "Traceback" not in finished.output


def test_nothing_at_the_url(project: Any, free_port: int) -> None:
    url = f"http://127.0.0.1:{free_port}"
    finished = project.perf("--tokgate-profile", "brief", "--tokgate-url", url, "--tokgate-model", "m")
    assert finished.code not in (0, 5)
    assert "could not connect to http" in finished.output
    assert "Traceback" not in finished.output


def test_prompt_over_the_context_is_invalid(project: Any) -> None:
    """A prompt longer than the context is an invalid measurement."""
    server = project.folder / "fixtures" / "servers" / "embedded-smollm2.yaml"
    server.write_text(server.read_text().replace("parallel: 4", "parallel: 1\n  context: 512"))
    project.workload("brief", requests=1, max_tokens=16, prompts="summarise")
    finished = project.perf("--tokgate-profile", "brief", "--tokgate-launches", "1")
    assert finished.code == BROKEN
    (measured,) = project.record()["measurements"]
    assert not measured["valid"]
    assert any("400" in problem["detail"] for problem in measured["problems"])
    assert "400" in finished.output


def test_server_killed_in_a_stream_is_invalid(long_project: Any, eventually: Eventually) -> None:
    """A server killed in mid stream is an invalid measurement."""
    process, server = in_the_middle(long_project, eventually)
    time.sleep(0.5)  # into the stream
    server.kill()
    output, _ = process.communicate(timeout=60)
    assert process.returncode == BROKEN, output
    record = long_project.record()
    assert record["ended"] is not None
    assert [(one["workload"]) for one in record["measurements"]] == ["brief", "long"]
    broken = record["measurements"][1]
    assert not broken["valid"]
    assert any(problem["rule"] == "server_gone" for problem in broken["problems"])
    assert "server_gone" in output
    assert "exit code -9" in output or "SIGKILL" in output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda n: n.name)
def test_ended_run_leaves_no_server(long_project: Any, eventually: Eventually, number: signal.Signals) -> None:
    """A run that is ended leaves no server and keeps its values."""
    process, server = in_the_middle(long_project, eventually)
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == (-9 if number is signal.SIGKILL else 2), output
    eventually(lambda: gone(server))
    kept(long_project)
    again = long_project.perf("--tokgate-profile", "brief", "--tokgate-launches", "1", "-k", "measure")
    assert again.code in (0, BROKEN), again.output  # the lease and the machine are free
    assert long_project.record()["ended"] is not None


@pytest.mark.long
def test_a_second_run_fails_at_once_or_waits(long_project: Any, eventually: Eventually, tmp_path: Path) -> None:
    first, server = in_the_middle(long_project, eventually)
    refused = long_project.perf("--tokgate-profile", "brief", "--tokgate-no-wait")
    assert refused.code == USAGE, refused.output
    assert f"pid {first.pid}" in refused.output
    assert "Traceback" not in refused.output
    said = tmp_path / "said"
    with said.open("w") as file:
        args = ("--tokgate-profile", "brief", "--tokgate-launches", "1", "-k", "measure")
        second = long_project.start(*args, stdout=file)
    eventually(lambda: "waiting for another run on this machine" in said.read_text())
    assert f"pid {first.pid}" in said.read_text()
    assert len(long_project.runs) == 1
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=60)
    assert second.wait(timeout=60) in (0, BROKEN), said.read_text()
    assert gone(server)
    assert len(long_project.runs) == 2


@pytest.mark.long
def test_full_disk_keeps_the_record_intact(project: Any) -> None:
    """A full disk is one clear error, and the record before it is intact."""
    project.workload("second", requests=8, max_tokens=200)
    project.profile("two", "embedded-smollm2", "brief", "second", launches=1)
    first = project.perf("--tokgate-profile", "brief", "--tokgate-launches", "1", "-k", "measure")
    size = (project.runs[-1] / "run.json").stat().st_size
    assert first.code in (0, BROKEN)
    limit = size + 20_000  # room for `brief`, not for `second` beside it

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    finished = project.perf("--tokgate-profile", "two", "-k", "measure", preexec_fn=full)
    assert finished.code not in (0, 5), finished.output
    assert "cannot be written" in finished.output
    assert "--tokgate-out" in finished.output
    assert "Traceback" not in finished.output
    assert "INTERNALERROR" not in finished.output
    kept(project)


def test_full_disk_beside_the_record_is_broken(project: Any) -> None:
    """pytest's own plugins write when all is measured, and know nothing of disks."""
    args = ("--tokgate-profile", "brief", "--tokgate-launches", "1", "-k", "measure")
    finished = project.perf(*args, "--junitxml=/dev/full")
    assert finished.code == BROKEN, finished.output
    assert "a file next to the record cannot be written: [Errno 28]" in finished.output
    assert "Traceback" not in finished.output
    assert "INTERNALERROR" not in finished.output
    assert project.record()["ended"] is not None


def test_measure_tells_programs_all_of_it(catalogue: Catalogue, project: Any, tmp_path: Path) -> None:
    small = catalogue.server("embedded-smollm2", {"launch": {"context": 512, "parallel": 1}})
    with start(small, log_dir=tmp_path / "own") as server:
        asked = (
            server.facts.base_url,
            "--model",
            server.facts.model,
            "--requests",
            "2",
            "--max-tokens",
            "16",
        )
        good, bad = (
            project.tokgate("measure", *asked, "--prompts", f"fixtures/prompts/{name}.jsonl", "--json", "-")
            for name in ("short-chat", "summarise")
        )
    told = json.loads(good.stdout)
    assert told.keys() >= {"valid", "problems", "metrics", "samples"}
    assert told["metrics"]["decode_tps"] > 0
    assert len(told["samples"]) == 2
    rules = {one["rule"] for one in told["problems"]}
    assert rules <= project.DISTURBED, told["problems"]
    assert (good.code, told["valid"]) == ((1, False) if rules else (0, True))
    told = json.loads(bad.stdout)
    assert (bad.code, told["valid"]) == (1, False)
    assert any("400" in problem["detail"] for problem in told["problems"])


def test_measure_without_a_server(project: Any, free_port: int) -> None:
    prompts = "fixtures/prompts/short-chat.jsonl"
    url = f"http://127.0.0.1:{free_port}"
    finished = project.tokgate("measure", url, "--model", "m", "--prompts", prompts, "--requests", "1")
    assert finished.code == 3
    assert "could not connect to http" in finished.output
    assert "Traceback" not in finished.output
