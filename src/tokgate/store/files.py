"""Files that are complete or absent: written under another name, synced, then renamed."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from pathlib import Path

import msgspec

from tokgate._exceptions import RecordError


def exists(path: Path) -> bool:
    """Whether there is a file or folder; also for what cannot be a path, because it is too long."""
    return os.path.exists(path)  # noqa: PTH110 - Path.exists raises OSError then


def encode_json(value: object, *, is_sorted: bool = False) -> bytes:
    """JSON to keep in a file. Names and arguments that are not UTF-8 lose the characters that JSON cannot hold."""
    try:
        return msgspec.json.encode(value, order="sorted" if is_sorted else None)
    except UnicodeEncodeError:
        plain = msgspec.to_builtins(value)
        return json.dumps(plain, ensure_ascii=False, sort_keys=is_sorted).encode(errors="replace")


def write_atomically(path: Path, data: bytes) -> None:
    """Replace `path` by `data` in one step; a power failure leaves the old file or the new one.

    Raises RecordError (disk full, no permission, …); then the old file is unchanged.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        advice = "free some space, or use another disk with --tokgate-out"
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            advice = "check the permissions of the folder, or use another one with --tokgate-out"
        raise RecordError(
            f"cannot be written ({len(data)} bytes): {error.strerror}; {advice}. The old file is unchanged",
            path=path,
        ) from error


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power failure."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
