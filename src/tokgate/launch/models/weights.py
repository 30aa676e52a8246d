"""Weights: the files of a model, where this machine keeps them, and which are missing or damaged."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from tokgate.config.server import DockerLaunch, ServerSpec
from tokgate.launch.docker.options import LOCAL, read_binds
from tokgate.launch.models.paths import expand

SHA256 = re.compile(r"[0-9a-f]{64}")
_INDEX = "model.safetensors.index.json"


class Weights(msgspec.Struct, frozen=True, kw_only=True):
    """The files that a server loads.

    repository: on the Hugging Face hub; None when the spec names none.
    revision: None is the newest.
    file: the only file, kept in `folder`; None for all files that serving needs, and then `folder` is the
    hub's cache.
    size: bytes of all files; None when not declared.
    sha256: of the only file; None when not declared.
    """

    repository: str | None
    revision: str | None = None
    file: str | None = None
    folder: Path
    size: int | None = None
    sha256: str | None = None

    @property
    def name(self) -> str:
        """Repository and file, for messages."""
        return f"{self.repository or self.folder}{f'/{self.file}' if self.file else ''}"


class MissingFiles(msgspec.Struct, frozen=True, kw_only=True):
    """The missing files of some weights: their names, and bytes (None when the size is not declared)."""

    files: tuple[str, ...]
    size: int | None


def find_weights(spec: ServerSpec) -> Weights | None:
    """The weights a server loads from this machine's disk; None when they are inside its image, or it is attached."""
    model, how = spec.model, spec.launch
    if not isinstance(how, DockerLaunch) or model.source is None or model.source.startswith("package:"):
        return None
    if not model.source.startswith(LOCAL):
        return Weights(repository=model.source, revision=model.revision, folder=_hub_cache(spec), size=model.size)
    folder = Path(expand(model.source))
    if model.file is None or not any(folder.is_relative_to(bind.host) for bind in read_binds(spec)):
        return None  # inside the image
    return Weights(
        repository=model.repository,
        revision=model.revision,
        file=model.file,
        folder=folder,
        size=model.size,
        sha256=model.sha256,
    )


def list_files(weights: Weights) -> list[Path]:
    """The files on this machine that a server would load; some may be missing, and without a snapshot there is none."""
    if weights.file is not None:
        return [weights.folder / weights.file]
    snapshot = _snapshot(weights)
    return [] if snapshot is None else sorted(path for path in snapshot.rglob("*") if path.is_file())


def find_missing(weights: Weights) -> MissingFiles | None:
    """The missing files, by looking at the disk only; None when all are there."""
    folder: Path | None = weights.folder
    if weights.file is not None:
        names: tuple[str, ...] = (weights.file,)
        parts = weights.folder.glob(f"{weights.file}.*.part")
    else:
        folder = _snapshot(weights)
        names = ("all files",) if folder is None else _expected(folder)
        parts = (locate_repository(weights) / "blobs").glob("*")
    missing = tuple(name for name in names if folder is None or not (folder / name).is_file())
    if not missing:
        return None
    here = sum(path.stat().st_size for path in parts)
    return MissingFiles(files=missing, size=None if weights.size is None else max(0, weights.size - here))


def find_damaged(weights: Weights) -> Iterator[Path]:
    """The files whose SHA-256 differs from that of the hub or the spec. Reads each of them completely."""
    for path, expected in _hashes(weights):
        if compute_sha256(path) != expected:
            yield path


_DOWNLOADS = ".cache/huggingface/download"
"""Where the hub's client keeps its metadata, below a folder of files that it fetched."""


def _hub_cache(spec: ServerSpec) -> Path:
    """The hub's cache that the server will see: the mounted one, else this user's."""
    for bind in read_binds(spec):
        if bind.target.name == "huggingface":
            return bind.host / "hub"
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE)


def locate_repository(weights: Weights) -> Path:
    """Where the hub's cache keeps a repository."""
    return weights.folder / f"models--{str(weights.repository).replace('/', '--')}"


def _snapshot(weights: Weights) -> Path | None:
    """The folder of the wanted revision in the hub's cache, when there is one."""
    repository = locate_repository(weights)
    revision = weights.revision or "main"
    with suppress(FileNotFoundError):
        revision = (repository / "refs" / revision).read_text().strip()
    folder = repository / "snapshots" / revision
    return folder if folder.is_dir() else None


def _expected(snapshot: Path) -> tuple[str, ...]:
    """The files that serving needs: those in the index of the weights, if there is one."""
    needed = ("config.json", "tokenizer_config.json")
    try:
        index = json.loads((snapshot / _INDEX).read_bytes())
    except (FileNotFoundError, ValueError):
        return (*needed, "model.safetensors")
    return (*needed, *sorted(set(index.get("weight_map", {}).values())))


def _hashes(weights: Weights) -> Iterator[tuple[Path, str]]:
    """(file, SHA-256) of each file that has one: the hub names large files by it."""
    if weights.file is not None:
        path = weights.folder / weights.file
        stated = weights.sha256 or _noted(weights.folder / _DOWNLOADS / f"{weights.file}.metadata")
        if path.is_file() and stated:
            yield path, stated
    elif snapshot := _snapshot(weights):
        for path in sorted(snapshot.rglob("*")):
            if path.is_file() and SHA256.fullmatch(path.resolve().name):
                yield path, path.resolve().name


def _noted(metadata: Path) -> str | None:
    """The hash that the hub's client recorded for a file: the second line, when it is a SHA-256."""
    with suppress(FileNotFoundError):
        _, etag, *_ = [*metadata.read_text().splitlines(), "", ""]
        return etag if SHA256.fullmatch(etag) else None
    return None


def compute_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
