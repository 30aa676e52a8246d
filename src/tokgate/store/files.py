"""Files that are whole or absent: written beside their place, synced, then renamed into it."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from tokgate._exceptions import RecordError


def write_atomically(path: Path, data: bytes) -> None:
    """Put `data` at `path` at once; a power cut leaves the old file or the new one.

    Raises RecordError (disk full, no permission, …); what stood there before is untouched.
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
        advice = "free some space, or choose another disk with --tokgate-out"
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            advice = "check that the folder can be written, or choose another with --tokgate-out"
        raise RecordError(
            f"cannot be written ({len(data)} bytes): {error.strerror}; {advice}. "
            "What was recorded before is untouched",
            path=path,
        ) from error


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
