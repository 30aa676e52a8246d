"""Versions of installed system packages, from the files of each package manager."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

from tokgate.machine.sysfs import read_text


def read_package_versions(names: Iterable[str], root: Path = Path("/")) -> dict[str, str]:
    """The version of each of `names` that dpkg, pacman or rpm has installed; others are absent."""
    wanted = tuple(names)
    return _dpkg(wanted, root) | _pacman(wanted, root) | _rpm(wanted, root)


def _dpkg(names: tuple[str, ...], root: Path) -> dict[str, str]:
    versions = {}
    status = "\n" + (read_text(root / "var/lib/dpkg/status") or "")
    for name in names:
        # Searched, not parsed: the file is several megabytes long.
        _, entry_start, entry = status.partition(f"\nPackage: {name}\n")
        fields = dict(line.split(": ", 1) for line in entry.split("\n\n", 1)[0].splitlines() if ": " in line)
        if entry_start and "installed" in fields.get("Status", "").split() and "Version" in fields:
            versions[name] = fields["Version"]
    return versions


def _pacman(names: tuple[str, ...], root: Path) -> dict[str, str]:
    versions = {}
    for folder in (root / "var/lib/pacman/local").glob("*-*-*"):
        name, version, release = folder.name.rsplit("-", 2)
        if name in names:
            versions[name] = f"{version}-{release}"
    return versions


def _rpm(names: tuple[str, ...], root: Path) -> dict[str, str]:
    # The format of its database changes, so its own command is run, where there is such a database.
    if not any((root / folder).exists() for folder in ("var/lib/rpm", "usr/lib/sysimage/rpm")):
        return {}
    command = ["rpm", "--root", str(root), "-q", "--qf", "%{NAME} %{VERSION}-%{RELEASE}\\n", *names]
    try:
        output = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=2, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return {}
    pairs = (line.split() for line in output.splitlines())
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2 and pair[0] in names}
