"""Prompt sets: JSONL files whose hashes are listed in the file `SHA256SUMS` next to them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from tokgate._exceptions import SpecError
from tokgate.config.bounds import PROMPTS_BYTES
from tokgate.config.explain import explain_unreadable
from tokgate.config.reading import decode_json, read_file
from tokgate.config.workload import Prompt, PromptSet

SUMS = "SHA256SUMS"


def read_prompts(path: Path, *, stated: bool = True) -> PromptSet:
    """The prompt set of one JSONL file.

    stated: the file's hash must be listed in SHA256SUMS next to it (`sha256sum *.jsonl > SHA256SUMS`), so
        that the prompts of a baseline cannot change unnoticed.
    Raises SpecError with file and line.
    """
    try:
        raw = read_file(path, PROMPTS_BYTES)
    except OSError as error:
        raise SpecError(explain_unreadable(error), file=path) from error
    digest = hashlib.sha256(raw).hexdigest()
    if stated:
        _check_hash(path, digest)
    prompts: dict[str, Prompt] = {}
    for number, line in enumerate(raw.splitlines(), start=1):
        if line.strip():
            prompt = _prompt(line, path, number)
            if prompt.id in prompts:
                raise SpecError(f"duplicate id {prompt.id!r}", file=path, line=number, key="id")
            prompts[prompt.id] = prompt
    if not prompts:
        raise SpecError("has no prompts; expected one JSON object per line", file=path)
    return PromptSet(name=path.stem, sha256=digest, prompts=tuple(prompts.values()))


def _prompt(line: bytes, path: Path, number: int) -> Prompt:
    try:
        prompt = decode_json(line, Prompt)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SpecError(
            f'{error}; expected {{"id": …, "messages": [{{"role": …, "content": …}}]}}',
            file=path,
            line=number,
        ) from error
    if not prompt.messages or any(set(message) != {"role", "content"} for message in prompt.messages):
        raise SpecError(
            "each message must have exactly the keys `role` and `content`",
            file=path,
            line=number,
            key="messages",
        )
    return prompt


def _check_hash(path: Path, digest: str) -> None:
    sums = path.with_name(SUMS)
    try:
        lines = sums.read_text(encoding="utf-8").splitlines() if sums.is_file() else []
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(explain_unreadable(error), file=sums) from error
    pairs = [line.split(maxsplit=1) for line in lines if line.strip()]
    if wrong := [number for number, pair in enumerate(pairs, 1) if len(pair) != 2]:
        raise SpecError("expected a hash and the name of a file, as `sha256sum` prints them", file=sums, line=wrong[0])
    stated = {name.lstrip("*"): hash_ for hash_, name in pairs}
    if stated.get(path.name) == digest:
        return
    listed = "does not list it" if path.name not in stated else f"lists {stated[path.name][:12]}…"
    raise SpecError(
        f"has hash {digest[:12]}…, but {SUMS} {listed}. If the change is intended, run `sha256sum *.jsonl > {SUMS}` "
        f"in {path.parent} and accept new baselines; the old ones no longer apply",
        file=path,
    )
