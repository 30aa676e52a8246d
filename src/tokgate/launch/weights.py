"""Weights: the files of a model, where this machine keeps them, what of them is missing, and how to fetch them."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from tokgate._exceptions import ModelUnavailable
from tokgate.launch.container import LOCAL, binds
from tokgate.launch.model import expand
from tokgate.spec.server import DockerLaunch, ServerSpec

_SHA256 = re.compile(r"[0-9a-f]{64}")
_SERVED = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja")  # not the same weights in other formats
_INDEX = "model.safetensors.index.json"


class Weights(msgspec.Struct, frozen=True, kw_only=True):
    """What a server loads.

    repository: on the Hugging Face hub, None when it is not said where the files come from; revision: None
    is the newest. file: the one file, kept in `folder`; None for all that serving needs, and then `folder` is
    the hub's cache. size: bytes of all of it; sha256: of the one file; either None when not declared.
    """

    repository: str | None
    revision: str | None = None
    file: str | None = None
    folder: Path
    size: int | None = None
    sha256: str | None = None

    @property
    def name(self) -> str:
        """As a person names it."""
        return f"{self.repository or self.folder}{f'/{self.file}' if self.file else ''}"


class Lack(msgspec.Struct, frozen=True, kw_only=True):
    """What of some weights is not here: names of files, and bytes, None when the size is not declared."""

    weights: Weights
    files: tuple[str, ...]
    size: int | None


def weights_of(spec: ServerSpec) -> Weights | None:
    """What a server loads from this machine's disk; None when it brings its model, or is somebody else's."""
    model, how = spec.model, spec.launch
    if not isinstance(how, DockerLaunch) or model.source is None or model.source.startswith("package:"):
        return None
    if not model.source.startswith(LOCAL):
        return Weights(
            repository=model.source, revision=model.revision, folder=_hub_cache(spec), size=model.size
        )
    folder = Path(expand(model.source))
    if model.file is None or not any(folder.is_relative_to(bind.host) for bind in binds(spec)):
        return None  # inside the image
    return Weights(
        repository=model.repository,
        revision=model.revision,
        file=model.file,
        folder=folder,
        size=model.size,
        sha256=model.sha256,
    )


def lack(weights: Weights) -> Lack | None:
    """What is missing, asked of the disk alone; None when all is there."""
    if weights.file is not None:
        if (weights.folder / weights.file).is_file():
            return None
        part = sum(path.stat().st_size for path in weights.folder.glob(f"{weights.file}.*.part"))
        return Lack(weights=weights, files=(weights.file,), size=_less(weights.size, part))
    snapshot = _snapshot(weights)
    here = sum(path.stat().st_size for path in (_repository(weights) / "blobs").glob("*"))
    if snapshot is None:
        return Lack(weights=weights, files=("all files",), size=_less(weights.size, here))
    missing = tuple(name for name in _expected(snapshot) if not (snapshot / name).is_file())
    if not missing:
        return None
    return Lack(weights=weights, files=missing, size=_less(weights.size, here))


def damaged(weights: Weights) -> Iterator[Path]:
    """The files that are not what the hub, or the spec, says they are, by their SHA-256. Reads them whole."""
    for path, expected in _hashes(weights):
        if _sha256(path) != expected:
            yield path


def fetch(weights: Weights) -> Path:
    """Bring what is missing to this machine, going on where an earlier try stopped; gives where it lies.

    The progress is the hub's client's own, on stderr. Raises ModelUnavailable: no repository is declared, the
    hub does not give it, the disk is too small, or what came is not what was promised (and is then removed).
    """
    from httpx2 import HTTPError
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    if weights.repository is None:
        raise ModelUnavailable(
            f"{weights.name} is not on this machine, and its spec does not say where it comes from. "
            "Next: put it there, or declare `model.repository`."
        )
    _room_for(weights)
    try:
        return _one_file(weights, weights.file) if weights.file else _whole_repository(weights)
    except (HfHubHTTPError, HTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ModelUnavailable(
            f"{weights.name} could not be fetched: {' '.join(str(error).split())}. Next: see that the hub is "
            "reachable (HF_ENDPOINT, HF_TOKEN for gated models) and run this again; it goes on where it stopped."
        ) from error


def _one_file(weights: Weights, file: str) -> Path:
    from huggingface_hub import hf_hub_download

    path = weights.folder / file
    _bring(weights, file, lambda _: path)
    # Finds the file there, and notes its hash beside it.
    return Path(
        hf_hub_download(str(weights.repository), file, revision=weights.revision, local_dir=weights.folder)
    )


def _whole_repository(weights: Weights) -> Path:
    from huggingface_hub import snapshot_download

    ask: dict[str, Any] = {
        "repo_id": weights.repository,
        "revision": weights.revision,
        "cache_dir": weights.folder,
        "allow_patterns": list(_SERVED),
    }
    for one in snapshot_download(**ask, dry_run=True):
        if one.will_download:
            _bring(weights, one.filename, lambda sha256: _repository(weights) / "blobs" / sha256)
    return Path(snapshot_download(**ask))  # finds the large files there, and fetches the small ones


def _bring(weights: Weights, file: str, place: Callable[[str], Path]) -> None:
    """Bring a large file to `place` of its SHA-256; a part that is there is not fetched again.

    The hub's own client would begin anew: since 2.0 it keeps no part of a file that was broken off.
    """
    from filelock import FileLock
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils._headers import build_hf_headers

    url = hf_hub_url(str(weights.repository), file, revision=weights.revision)
    there = get_hf_file_metadata(url)
    if there.etag is None or not _SHA256.fullmatch(there.etag):
        return  # a small file, which the hub names by no SHA-256
    path = place(there.etag)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{there.etag[:8]}.part")
    with FileLock(f"{part}.lock"):
        if path.exists():
            return
        same_host = urlsplit(url).netloc == urlsplit(there.location).netloc
        with part.open("ab", buffering=0) as file_object:
            begun = file_object.tell()
            if begun != there.size:
                http_get(
                    there.location,
                    file_object,
                    resume_size=begun,
                    headers=build_hf_headers() if same_host else {},  # a token is for the hub alone
                    expected_size=there.size,
                    displayed_filename=file,
                )
        if _sha256(part) != there.etag:
            part.unlink()
            raise ModelUnavailable(
                f"{weights.repository}/{file} is not what the hub says it is: its SHA-256 differs. It was removed. "
                "Next: run this again; if it differs again, something between here and the hub changes it."
            )
        part.rename(path)


_DOWNLOADS = ".cache/huggingface/download"
"""Where the hub's client keeps its notes, below a folder of its own files."""


def _hub_cache(spec: ServerSpec) -> Path:
    """The hub's cache that the server will see: the one mounted, else this user's."""
    for bind in binds(spec):
        if bind.target.name == "huggingface":
            return bind.host / "hub"
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE)


def _repository(weights: Weights) -> Path:
    """Where the hub's cache keeps a repository."""
    return weights.folder / f"models--{str(weights.repository).replace('/', '--')}"


def _snapshot(weights: Weights) -> Path | None:
    """The folder of the wanted revision in the hub's cache, when there is one."""
    repository = _repository(weights)
    revision = weights.revision or "main"
    with suppress(FileNotFoundError):
        revision = (repository / "refs" / revision).read_text().strip()
    folder = repository / "snapshots" / revision
    return folder if folder.is_dir() else None


def _expected(snapshot: Path) -> tuple[str, ...]:
    """The files without which nothing is served: what the weights' own index lists, if there is one."""
    needed = ("config.json", "tokenizer_config.json")
    try:
        index = json.loads((snapshot / _INDEX).read_bytes())
    except (FileNotFoundError, ValueError):
        return (*needed, "model.safetensors")
    return (*needed, *sorted(set(index.get("weight_map", {}).values())))


def _hashes(weights: Weights) -> Iterator[tuple[Path, str]]:
    """(file, SHA-256) of what has one: the hub names large files by it."""
    if weights.file is not None:
        path = weights.folder / weights.file
        stated = weights.sha256 or _noted(weights.folder / _DOWNLOADS / f"{weights.file}.metadata")
        if path.is_file() and stated:
            yield path, stated
    elif snapshot := _snapshot(weights):
        for path in sorted(snapshot.rglob("*")):
            if path.is_file() and _SHA256.fullmatch(path.resolve().name):
                yield path, path.resolve().name


def _noted(metadata: Path) -> str | None:
    """The hash that the hub's client noted of a file: the second line, when it is a SHA-256."""
    with suppress(FileNotFoundError):
        _, etag, *_ = [*metadata.read_text().splitlines(), "", ""]
        return etag if _SHA256.fullmatch(etag) else None
    return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _room_for(weights: Weights) -> None:
    missing = lack(weights)
    if missing is None or missing.size is None:
        return
    there = next(folder for folder in _upwards(weights.folder) if folder.exists())
    free = shutil.disk_usage(there).free
    if free < missing.size:
        raise ModelUnavailable(
            f"{weights.name} needs {missing.size / 1e9:.1f} GB more, and {there} has {free / 1e9:.1f} GB free. "
            "Next: make room there."
        )


def _upwards(folder: Path) -> Iterable[Path]:
    return (folder.absolute(), *folder.absolute().parents)


def _less(size: int | None, here: int) -> int | None:
    return None if size is None else max(0, size - here)
