"""Every command the documents show is run: as it stands, or where it would take minutes, only as far as it shows
that it is right."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = sorted(
    {
        line.removeprefix("$ ")
        for document in DOCUMENTS
        for block in re.findall(r"```console\n(.*?)```", document.read_text(), re.DOTALL)
        for line in block.splitlines()
        if line.startswith("$ ")
    }
)
INLINE = sorted(
    {
        command
        for document in DOCUMENTS
        for command in re.findall(r"`((?:pytest|tokgate) [^`…]+)`", document.read_text())
        if not command.startswith("pytest --tokgate")
    }
)


def run(command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"}
    return subprocess.run(
        command,
        shell=True,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def shortened(command: str) -> str:
    """The command, kept from measuring for minutes, from writing, or from calling the tests from a test."""
    if command.startswith(("pytest -m perf", "./ci/perf.sh", "./ci/nightly.sh")):
        # Nothing listens at the documented URL; planning is what shows that the options are right.
        return f"{command} --collect-only"
    if command.startswith(("./ci/test.sh", "./ci/images.sh", "./ci/cleanup.sh")):
        return f"bash -n {command}"
    not_here = ("tokgate doctor --profile gfx1151", "tokgate models")  # right on the box alone
    writing = (
        "tokgate baseline",
        "tokgate measure",
        "tokgate report",
        "tokgate hypothesis settle",
        "tokgate bisect",
        "tokgate doctor --steadiness",
    )
    reading = (
        "tokgate history",
        "tokgate import",
        "tokgate compare",
    )  # what a reader has and a fresh checkout has not
    if command.startswith((*writing, *reading, *not_here)):
        return f"{command} --help"
    return command


def test_the_documents_show_commands() -> None:
    assert len(COMMANDS) > 8
    assert INLINE


@pytest.mark.parametrize("command", [*COMMANDS, *INLINE])
def test_a_command_the_documents_show(command: str) -> None:
    if "mine" in command:
        pytest.skip("names a profile that the reader is to write")
    done = run(shortened(command))
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
