"""`tokgate doctor --steadiness` on the real engine."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tokgate.store.steadiness import FILE

ROOT = Path(__file__).parents[2]


def test_steadiness_is_shown_and_kept(tmp_path: Path) -> None:
    """The trial ends soon after its time, is kept beside the records, and ends in one line."""
    tokgate = shutil.which("tokgate", path=str(Path(sys.executable).parent))
    assert tokgate is not None
    command = (tokgate, "doctor", "--profile", "embedded", "--steadiness", "--seconds", "1", "--runs", str(tmp_path))
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "launch 1 of embedded-smollm2" in done.stderr
    assert done.stdout.splitlines()[-1].startswith("steadiness: ")
    assert (tmp_path / FILE).is_file()
