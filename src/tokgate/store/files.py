"""Files that are complete or absent: written under another name, synced, then renamed."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from tokgate._exceptions import RecordError


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
