"""What servers and files without bound cost: seconds, memory, and what is reported. `python bench/bounds.py [ATTACK…]`.

Each attack runs in a process of its own, which is ended after a minute or above 6 GB. Nothing but loopback is used.
"""

from __future__ import annotations

import gzip
import json
import os
import resource
import socketserver
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain, repeat
from pathlib import Path
from threading import Thread
from typing import NamedTuple

LIMIT_S, LIMIT_BYTES = 60, 6 * 10**9
HEAD = b"HTTP/1.1 200 OK\r\n"
EVENT = b'data: {"choices": [{"delta": {"content": "tok"}}]}\n\n'
MODELS = HEAD + b'Content-Length: 24\r\n\r\n{"data": [{"id": "m"}]} '
BLOCK = b"x" * 65536


def drip(data: bytes) -> Iterator[bytes]:
    for byte in data:
        yield bytes([byte])
        time.sleep(0.05)


ANSWERS: dict[str, Callable[[], Iterable[bytes]]] = {
    "endless": lambda: chain([HEAD + b"\r\n"], repeat(EVENT * 1000)),
    "endless line": lambda: chain([HEAD + b"\r\ndata: "], repeat(BLOCK)),
    "1 GB at once": lambda: chain([HEAD + b"Content-Length: 1000000000\r\n\r\n"], repeat(BLOCK, 15258)),
    "1 GB, compressed": lambda: [HEAD + b"Content-Encoding: gzip\r\n\r\n", gzip.compress(b"x" * 10**9, 1)],
    "drip": lambda: chain([HEAD + b"\r\n"], drip(EVENT * 1000)),
    "100 Continue": lambda: repeat(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "cut off": lambda: [HEAD + b"Content-Length: 5000\r\n\r\n" + EVENT],
    "503, cut off": lambda: [b"HTTP/1.1 503 Busy\r\nContent-Length: 5000\r\n\r\nload"],
    "redirect": lambda: [b"HTTP/1.1 307 -\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n"],
    "2,000 brackets": lambda: [HEAD + b"\r\n", b"data: " + b"[" * 2000 + b"]" * 2000 + b"\n\n"],
}


class Handler(socketserver.BaseRequestHandler):
    """`/NAME/…`: the answer of that name; where it is a stream, the list of models is as it should be."""

    def handle(self) -> None:
        request = self.request.recv(65536).decode()
        _, name, kind, *page = request.split()[1].replace("%20", " ").split("/")
        pieces = [MODELS] if kind == "stream" and "models" in page else ANSWERS[name]()
        with suppress(OSError):
            for piece in pieces:
                self.request.sendall(piece)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads, block_on_close = True, False


def read_stream(url: str) -> str | None:
    from tokgate.config.workload import Closed
    from tokgate.drive.client import Endpoint, Request
    from tokgate.drive.load import drive

    request = Request(prompt_id="p", messages=({"role": "user", "content": "hello"},), max_tokens=16)
    endpoint = Endpoint(base_url=f"{url}/stream", model="m")
    result = drive(endpoint, [request], Closed(), request_timeout_s=10, stall_timeout_s=10, seed=0)
    return result.samples[0].error


def read_page(url: str) -> str:
    try:
        from tokgate.launch.http import get
    except ImportError:
        from tokgate.launch.probe import get  # type: ignore[attr-defined]  # an older version
    answer = get(f"{url}/page")
    answer.content()
    return answer.summary


def read_yaml(folder: Path) -> None:
    from tokgate.config.load import Document

    Document.read(folder / "x.yaml")


def read_prompts(folder: Path) -> str:
    from tokgate.config.prompts import read_prompts
    from tokgate.drive.prompts import make_requests

    prompts = read_prompts(folder / "x.jsonl", stated=False)
    return f"{len(make_requests(prompts, 100, seed=0, max_tokens=16))} requests"


def read_record(folder: Path) -> str:
    from tokgate.store.history import list_unreadable, read_history

    read_history(folder)
    return "; ".join(list_unreadable(folder))


def read_import(folder: Path) -> None:
    from tokgate.store.importers import find_importer

    find_importer("llama-bench").read(folder / "x.json")


def read_log(folder: Path) -> str:
    from tokgate.config.server import AttachLaunch, Model, ServerSpec
    from tokgate.launch.logs import exit_error

    spec = ServerSpec(name="x", description="", engine="vllm", launch=AttachLaunch(url=""), model=Model(id="m"))
    return str(exit_error(spec, doing="while it started", exit_code=1, log_path=folder / "x.log"))


def write_bomb(file: Path) -> None:
    lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30))]
    file.write_text("\n".join(lines))


def write_prompts(file: Path) -> None:
    message = {"role": "user", "content": "word " * 50}
    file.write_text("".join(json.dumps({"id": str(n), "messages": [message]}) + "\n" for n in range(100_000)))


def write_record(file: Path) -> None:
    file.parent.mkdir()
    file.write_text('{"schema": 1, "run_id": ' + "[" * 2000 + "]" * 2000 + "}")


def write_sql(file: Path) -> None:
    rows = ", ".join(f"({n})" for n in range(1000))
    join = ", ".join(f"a AS t{n}" for n in range(6))
    file.write_text(
        f"CREATE TABLE a (x); INSERT INTO a VALUES {rows}; CREATE TABLE llama_bench (x);\n"
        f"INSERT INTO llama_bench SELECT t0.x FROM {join};"
    )


def write_log(file: Path) -> None:
    """In pieces: what this process holds would count as its child's memory."""
    with file.open("wb") as log:
        for _ in range(1000):
            log.write(b"ERROR: word\n" * (10**6 // 12))


class Attack(NamedTuple):
    """read: what the child process runs; write: makes the file that it reads, by its name; None for a server's answer."""

    read: Callable[..., str | None]
    file: str = ""
    write: Callable[[Path], object] | None = None


ATTACKS: dict[str, Attack] = {
    **{f"stream: {name}": Attack(read_stream) for name in ANSWERS},
    **{f"page: {name}": Attack(read_page) for name in ANSWERS},
    "YAML: aliases": Attack(read_yaml, "x.yaml", write_bomb),
    "YAML: brackets": Attack(read_yaml, "x.yaml", lambda file: file.write_text("a: " + "[" * 100_000)),
    "YAML: alias of itself": Attack(read_yaml, "x.yaml", lambda file: file.write_text("a: &a [*a]")),
    "prompts: 100,000": Attack(read_prompts, "x.jsonl", write_prompts),
    "record: brackets": Attack(read_record, "run/run.json", write_record),
    "import: brackets": Attack(read_import, "x.json", lambda file: file.write_text("[" * 2000)),
    "import: SQL": Attack(read_import, "x.json", write_sql),
    "log: 1 GB": Attack(read_log, "x.log", write_log),
}


def run_child(name: str, place: str) -> None:
    """Run one attack and print what is reported."""
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, LIMIT_BYTES))
    attack = ATTACKS[name]
    try:
        print(attack.read(Path(place) if attack.write else place) or "(nothing is reported)")
    except Exception as error:
        mark = "" if type(error).__module__.startswith("tokgate") else f"TRACEBACK {type(error).__name__}: "
        print(f"{mark}{error}")


def measure(name: str, url: str) -> tuple[float, float, str]:
    """Seconds and peak MB of the attack beyond those of its imports, and what is reported."""
    attack = ATTACKS[name]
    with tempfile.TemporaryDirectory() as folder:
        place = f"{url}/{name.partition(': ')[2]}".replace(" ", "%20")
        if attack.write is not None:
            attack.write(Path(folder) / attack.file)
            place = folder
        begun_s = time.perf_counter()
        child = subprocess.Popen(
            [sys.executable, __file__, "--child", name, place],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            output, _ = child.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            child.kill()
            output = f"(ended after {LIMIT_S} s)"
        seconds = time.perf_counter() - begun_s
    return seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3, " ".join(output.split())


def main() -> None:
    """Print the table. The peak is that of all children so far, so each attack is measured by a process of its own."""
    if sys.argv[1:2] == ["--child"]:
        run_child(*sys.argv[2:])
        return
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(*sys.argv[2:])))
        return
    with Server(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        print("| attack | seconds | peak MB | reported |\n|---|---|---|---|")
        for name in sys.argv[1:] or ATTACKS:
            command = [sys.executable, __file__, "--measure", name, url]
            done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
            seconds, peak, reported = json.loads(done.stdout)
            print(f"| {name} | {seconds:.1f} | {peak:.0f} | {reported[:160]} |", flush=True)
        server.shutdown()


if __name__ == "__main__":
    main()
