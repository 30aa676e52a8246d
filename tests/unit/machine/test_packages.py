"""Versions are read where dpkg and pacman keep them, and only of what is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokgate.machine.packages import read_package_versions

if TYPE_CHECKING:
    from tests.unit.machine.conftest import Box

_STATUS = """\
Package: mesa-vulkan-drivers
Status: install ok installed
Architecture: amd64
Version: 25.2.8-0ubuntu1

Package: linux-firmware
Status: deinstall ok config-files
Version: 20240318.git3b128b60-0ubuntu2

Package: linux-firmware-amdgpu
Status: install ok installed
Version: 20260110-1
Description: Firmware
 for GPUs: all"""


def test_dpkg(box: Box) -> None:
    box.write({"var/lib/dpkg/status": _STATUS})
    names = ("mesa-vulkan-drivers", "linux-firmware", "linux-firmware-amdgpu", "mesa")
    assert read_package_versions(names, box.root) == {
        "mesa-vulkan-drivers": "25.2.8-0ubuntu1",
        "linux-firmware-amdgpu": "20260110-1",
    }


def test_dpkg_first_entry(box: Box) -> None:
    box.write({"var/lib/dpkg/status": _STATUS})
    assert read_package_versions(("mesa-vulkan-drivers",), box.root) == {"mesa-vulkan-drivers": "25.2.8-0ubuntu1"}


def test_pacman(box: Box) -> None:
    for name in ("mesa-1:25.3.1-1", "linux-firmware-20260110-2", "linux-firmware-whence-20260110-2"):
        box.write({f"var/lib/pacman/local/{name}/desc": ""})
    assert read_package_versions(("mesa", "linux-firmware"), box.root) == {
        "mesa": "1:25.3.1-1",
        "linux-firmware": "20260110-2",
    }


def test_nothing_known(box: Box) -> None:
    assert read_package_versions(("mesa",), box.root) == {}
