"""Input of the clients that `client.py` runs: a tokenizer, prompts, and a text served over HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tools import Job

TOKENIZER: dict[str, Any] = {
    "version": "1.0",
    "truncation": None,
    "padding": None,
    "added_tokens": [],
    "normalizer": None,
    "pre_tokenizer": {"type": "Whitespace"},
    "post_processor": None,
    "decoder": None,
    "model": {"type": "WordLevel", "vocab": {"[UNK]": 0, "tok": 1}, "unk_token": "[UNK]"},
}


def prepare(job: Job) -> None:
    """Write the tokenizer and the prompts into the job's folder."""
    (job.folder / "tokenizer").mkdir()
    (job.folder / "tokenizer" / "tokenizer.json").write_text(json.dumps(TOKENIZER))
    (job.folder / "tokenizer" / "tokenizer_config.json").write_text(
        '{"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "[UNK]", "model_max_length": 100000}'
    )
    for name, key in (("prompts", "prompt"), ("texts", "text")):
        line = json.dumps({key: "count to one thousand"}) + "\n"
        (job.folder / f"{name}.jsonl").write_text(line * job.requests)


@contextmanager
def serve_book() -> Iterator[str]:
    """Serve a text and yield its URL, for the client that takes its prompts from a URL."""

    class Book(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"tok " * 5000)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Book) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/book.txt"
        server.shutdown()
