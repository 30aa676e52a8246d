"""Fetches weights from the Hugging Face hub: resumes, and checks the SHA-256 before a file gets its name."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tokgate._exceptions import ModelUnavailable
from tokgate.config.words import format_size
from tokgate.launch.models.weights import SHA256, Weights, compute_sha256, find_missing, locate_repository

_SERVED = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja")  # not the copies in other formats


def fetch(weights: Weights) -> Path:
    """Fetch the missing files, resuming an earlier try; return where they are.

    The hub's client shows its progress on stderr. Raises ModelUnavailable: no repository is declared, the hub
    does not have it, the disk is too small, or a file has the wrong SHA-256 (and is removed).
    """
    from httpx2 import HTTPError
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    if weights.repository is None:
        raise ModelUnavailable(
            f"{weights.name} is not on this machine, and its spec names no repository to fetch it from. "
            "Next: put it there, or declare `model.repository`."
        )
    _check_space(weights)
    try:
        return _one_file(weights, weights.file) if weights.file else _whole_repository(weights)
    except (HfHubHTTPError, HTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ModelUnavailable(
            f"{weights.name} could not be fetched: {' '.join(str(error).split())}. Next: check that the hub "
            "is reachable (HF_ENDPOINT, HF_TOKEN for gated models) and run this again; it resumes where it stopped."
        ) from error


def _one_file(weights: Weights, file: str) -> Path:
    from huggingface_hub import hf_hub_download

    path = weights.folder / file
    _fetch_file(weights, file, lambda _: path)
    # Finds the file there, and records its hash beside it.
    return Path(hf_hub_download(str(weights.repository), file, revision=weights.revision, local_dir=weights.folder))


def _whole_repository(weights: Weights) -> Path:
    from huggingface_hub import snapshot_download

    ask: dict[str, Any] = {
        "repo_id": weights.repository,
        "revision": weights.revision,
        "cache_dir": weights.folder,
        "allow_patterns": list(_SERVED),
    }
    for planned in snapshot_download(**ask, dry_run=True):
        if planned.will_download:
            _fetch_file(weights, planned.filename, lambda sha256: locate_repository(weights) / "blobs" / sha256)
    return Path(snapshot_download(**ask))  # finds the large files there, fetches the small ones


def _fetch_file(weights: Weights, file: str, place: Callable[[str], Path]) -> None:
    """Fetch a large file to `place(SHA-256)`, resuming a partial file.

    The hub's own client would start over: since 2.0 it keeps no partial files.
    """
    from filelock import FileLock
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils._headers import build_hf_headers

    url = hf_hub_url(str(weights.repository), file, revision=weights.revision)
    there = get_hf_file_metadata(url)
    if there.etag is None or not SHA256.fullmatch(there.etag):
        return  # a small file, for which the hub has no SHA-256
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
        if compute_sha256(part) != there.etag:
            part.unlink()
            raise ModelUnavailable(
                f"{weights.repository}/{file} has a SHA-256 that differs from the hub's. It was removed. "
                "Next: run this again; if it differs again, something between here and the hub changes it."
            )
        part.rename(path)


def _check_space(weights: Weights) -> None:
    missing = find_missing(weights)
    if missing is None or missing.size is None:
        return
    existing = next(folder for folder in (weights.folder, *weights.folder.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if free < missing.size:
        raise ModelUnavailable(
            f"{weights.name} needs {format_size(missing.size)} more, and {existing} has {format_size(free)} free. "
            "Next: free some space there."
        )
