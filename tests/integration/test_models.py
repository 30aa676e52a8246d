"""`tokgate models` against a hub: a real HTTP server on loopback that speaks the few calls its client makes."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
SIZE = 24_000_000  # its client writes pieces of 10 MB
FILES = {
    "config.json": b"{}",
    "tokenizer_config.json": b"{ }",
    "model.safetensors.index.json": json.dumps({"weight_map": {"a": SHARDS[0], "b": SHARDS[1]}}).encode(),
    SHARDS[0]: b"\x01" * SIZE,
    SHARDS[1]: b"\x02" * SIZE,
    "model.gguf": b"GGUF" + b"\x03" * SIZE,
    "unwanted.bin": b"\x04" * SIZE,
}


class Hub(ThreadingHTTPServer):
    """Serves FILES as any repository. What it was asked for is in `ranges`: (file, Range header or "").

    holds: the file that stops half-way, until `released`; spoiled: files whose bytes are not what is promised.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.ranges: list[tuple[str, str]] = []
        self.holds: str | None = None
        self.halfway, self.released = threading.Event(), threading.Event()
        self.spoiled: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answers(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._file(body=False)

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.endswith("/revision/main"):
            return self._json({"id": "maker/small", "sha": COMMIT, "siblings": []})
        if "/tree/" in path:
            return self._json([_entry(name) for name in FILES])
        return self._file(body=True)

    def _json(self, told: object) -> None:
        raw = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def _file(self, *, body: bool) -> None:
        name = self.path.rpartition("/")[2]
        if "/resolve/" not in self.path or name not in FILES:
            self.send_error(404)
            return
        asked = self.headers.get("Range", "")
        if body:
            self.server.ranges.append((name, asked))
        start = int(asked.removeprefix("bytes=").partition("-")[0] or 0)
        data = FILES[name] if name not in self.server.spoiled else FILES[name][:-1] + b"!"
        rest = data[start:]
        self.send_response(206 if asked else 200)
        self.send_header("ETag", f'"{_sha256(name)}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(rest)))
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        if not body:
            return
        if name == self.server.holds and not self.server.released.is_set():
            self.wfile.write(rest[: SIZE // 2])
            self.server.halfway.set()
            self.server.released.wait(60)
        else:
            self.wfile.write(rest)

    def log_message(self, *_: object) -> None: ...

    def handle(self) -> None:
        try:
            super().handle()
        except (BrokenPipeError, ConnectionResetError):  # the client was killed, as the test wants
            pass


def _sha256(name: str) -> str:
    return hashlib.sha256(FILES[name]).hexdigest()


def _entry(name: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "path": name, "size": len(FILES[name]), "oid": "a" * 40}
    if len(FILES[name]) > 1000:
        entry["lfs"] = {"oid": _sha256(name), "size": len(FILES[name]), "pointerSize": 130}
    return entry


@pytest.fixture
def hub(project: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub, this user's home empty, and profile `hub`: a repository in the hub's cache, and one file in a folder."""
    home = tmp_path / "home"
    (home / "models").mkdir(parents=True)
    server = Hub()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name, value in {"HF_ENDPOINT": server.url, "HOME": str(home), "NO_PROXY": "*"}.items():
        monkeypatch.setenv(name, value)
    for name in ("HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    servers = project.folder / "fixtures" / "servers"
    (servers / "whole.yaml").write_text(
        "description: d\nextends: vllm-current\nmodel: {id: maker/small, source: maker/small, size: 48MB}\n"
    )
    (servers / "single.yaml").write_text(
        "description: d\nextends: llamacpp-vulkan\nlaunch: {volumes: ['$HOME/models:/models:ro']}\n"
        "model: {source: $HOME/models, repository: maker/gguf, file: model.gguf, size: 24MB}\n"
    )
    for name in ("whole", "single"):
        project.profile(name, name, "brief", launches=1)
    yield server
    server.released.set()
    server.shutdown()
    server.server_close()


FULL = {"whole": "0.05", "single": "0.02"}


def fetch(project: Any, profile: str) -> Any:
    return project.tokgate("models", "fetch", "--profile", profile)


def _half_there(home: Path) -> bool:
    return any(2 * SIZE // 5 < part.stat().st_size < SIZE for part in home.rglob("*.part"))


def check(project: Any, profile: str, *options: str) -> Any:
    return project.tokgate("models", "check", "--profile", profile, *options)


def test_missing_files_are_listed_then_fetched_once(hub: Hub, project: Any) -> None:
    """Missing files are listed without the hub, then fetched once."""
    before = check(project, "whole")
    assert before.code == 1
    assert "MISSING   maker/small: all files (48 MB)" in before.output
    assert "tokgate models fetch --profile whole" in before.output
    assert hub.ranges == []
    fetched = fetch(project, "whole")
    assert fetched.code == 0, fetched.output
    assert {name for name, _ in hub.ranges} == FILES.keys() - {"unwanted.bin", "model.gguf"}
    after = check(project, "whole", "--hash")
    assert (after.code, "present   maker/small" in after.output) == (0, True), after.output
    hub.ranges.clear()
    assert fetch(project, "whole").code == 0
    assert hub.ranges == []


def test_a_shard_that_is_missing_is_named(hub: Hub, project: Any, tmp_path: Path) -> None:
    assert fetch(project, "whole").code == 0
    (shard,) = (tmp_path / "home").rglob(SHARDS[1])
    shard.resolve().unlink()
    shard.unlink()
    told = check(project, "whole")
    assert told.code == 1
    assert f"MISSING   maker/small: {SHARDS[1]} (24 MB)" in told.output
    hub.ranges.clear()
    assert fetch(project, "whole").code == 0
    assert hub.ranges == [(SHARDS[1], "")]
    assert check(project, "whole").code == 0


@pytest.mark.parametrize(("profile", "file"), [("whole", SHARDS[0]), ("single", "model.gguf")])
def test_killed_fetch_resumes(
    hub: Hub, project: Any, eventually: Callable[..., None], profile: str, file: str, tmp_path: Path
) -> None:
    """A fetch that was killed resumes where it stopped."""
    hub.holds = file
    command = [str(Path(sys.executable).with_name("tokgate")), "models", "fetch", "--profile", profile]
    process = subprocess.Popen(command, cwd=project.folder, stderr=subprocess.DEVNULL)
    try:
        assert hub.halfway.wait(60)
        eventually(lambda: _half_there(tmp_path / "home"))
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    part = check(project, profile)
    assert part.code == 1
    assert f"({FULL[profile]} GB)" not in part.output  # what came is not to be fetched again
    hub.released.set()
    hub.ranges.clear()
    again = fetch(project, profile)
    assert again.code == 0, again.output
    (asked,) = (asked for name, asked in hub.ranges if name == file)
    assert int(asked.removeprefix("bytes=").rstrip("-")) > 0
    assert check(project, profile, "--hash").code == 0


@pytest.mark.parametrize(("profile", "file"), [("whole", SHARDS[0]), ("single", "model.gguf")])
def test_file_with_a_wrong_hash_is_removed(hub: Hub, project: Any, profile: str, file: str) -> None:
    """A file that differs from what the hub promised is rejected and removed."""
    hub.spoiled = {file}
    refused = fetch(project, profile)
    assert refused.code == 3, refused.output
    assert f"{file} has a SHA-256 that differs" in refused.output
    assert "It was removed" in refused.output
    assert check(project, profile).code == 1
    hub.spoiled = set()
    assert fetch(project, profile).code == 0


def test_changed_file_is_found_by_its_hash(hub: Hub, project: Any, tmp_path: Path) -> None:
    """A file that was changed afterwards is found by its hash."""
    assert fetch(project, "single").code == 0
    (tmp_path / "home" / "models" / "model.gguf").write_bytes(FILES["model.gguf"][:-1] + b"!")
    assert check(project, "single").code == 0
    told = check(project, "single", "--hash")
    assert told.code == 1
    assert "model.gguf: its SHA-256 differs" in told.output


def test_a_hub_that_does_not_answer_is_one_message(hub: Hub, project: Any) -> None:
    hub.shutdown()
    hub.server_close()
    for profile in ("whole", "single"):
        refused = fetch(project, profile)
        assert refused.code == 3, refused.output
        assert "could not be fetched" in refused.output
        assert "HF_ENDPOINT" in refused.output
        assert "Traceback" not in refused.output


def test_small_disk_is_reported_before_a_fetch(hub: Hub, project: Any) -> None:
    """A disk that is too small is reported before anything is fetched."""
    path = project.folder / "fixtures" / "servers" / "whole.yaml"
    path.write_text(path.read_text().replace("48MB", "900TB"))
    refused = fetch(project, "whole")
    assert refused.code == 3
    assert "needs 900 TB more" in refused.output
    assert hub.ranges == []
