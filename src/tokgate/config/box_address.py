"""BoxAddress: where a box of a run on several boxes is, as `--tokgate-hosts` lists it."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import PurePosixPath
from urllib.parse import urlsplit

import msgspec

FORMS = "ssh://[USER@]HOST[:PORT][/CHECKOUT] or unix:///PATH/OF/DOCKER.sock"
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")  # safe for ssh (no option) and for a shell
_CHECKOUT = "tokgate"


class BoxAddress(msgspec.Struct, frozen=True, kw_only=True):
    """The address of one box.

    url: as the option lists it.
    name: short, unique, and valid in a file name.
    login: of `ssh://`: `[USER@]HOST`.
    port: of `ssh://`: None for the default of ssh.
    checkout: of `ssh://`: the folder of this project there, relative to the home folder unless it is absolute.
    socket: of `unix://`: the socket of a Docker daemon on this machine.
    """

    url: str
    name: str
    login: str = ""
    port: int | None = None
    checkout: PurePosixPath = PurePosixPath(_CHECKOUT)
    socket: str = ""

    @property
    def is_here(self) -> bool:
        """Whether it is a Docker daemon on this machine."""
        return bool(self.socket)


def parse_box_addresses(text: str) -> tuple[BoxAddress, ...]:
    """Parse a comma-separated list of at least one address. Raises ValueError with the accepted form."""
    urls = [url.strip() for url in text.split(",")]
    boxes = [_parse(url) for url in urls]
    for url, count in Counter(urls).items():
        if count > 1:
            raise ValueError(f"{url} is listed {count} times; list each box once")
    if len({box.name for box in boxes}) < len(boxes):  # ssh://a/b and ssh://a/c
        boxes = [msgspec.structs.replace(box, name=f"{box.name}-{at}") for at, box in enumerate(boxes, 1)]
    return tuple(boxes)


def _parse(url: str) -> BoxAddress:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{url}: {error}; expected {FORMS}") from error
    name = re.sub(r"[^A-Za-z0-9.]+", "-", parts.netloc or parts.path).strip("-.")
    path = PurePosixPath("/" + parts.path.strip("/"))
    if parts.query or parts.fragment or not name:
        raise ValueError(f"{url or '(empty)'}: expected {FORMS}")
    if parts.scheme == "unix" and not parts.netloc and path.name:
        return BoxAddress(url=url, name=name, socket=str(path))
    login = parts.netloc.removesuffix(f":{port}")
    if parts.scheme == "ssh" and all(_WORD.fullmatch(word) for word in login.split("@", 1)):
        checkout = path if path.name else PurePosixPath(_CHECKOUT)
        return BoxAddress(url=url, name=name, login=login, port=port, checkout=checkout)
    hint = ""
    if parts.scheme in ("tcp", "http", "https"):
        hint = ". To measure on the machine of a remote Docker daemon, use ssh:// to that machine"
    raise ValueError(f"{url}: expected {FORMS}{hint}")
