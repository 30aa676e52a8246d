"""BoxAddress: where a box of a run over many is, as `--tokgate-hosts` names it."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import PurePosixPath
from urllib.parse import urlsplit

import msgspec

FORMS = "ssh://[USER@]HOST[:PORT][/CHECKOUT] or unix:///PATH/OF/DOCKER.sock"
_WORD = re.compile(
    r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
)  # nothing that ssh could take for an option, or a shell for more
_CHECKOUT = "tokgate"


class BoxAddress(msgspec.Struct, frozen=True, kw_only=True):
    """One box. url: as it was named; name: short, of letters that may stand in a file's name, unlike all others.

    Of `ssh://`: login, `[USER@]HOST`; port, None for what ssh takes; checkout, the folder of this project there,
    relative to the home folder unless it starts with a slash. Of `unix://`: socket, of a Docker engine here.
    """

    url: str
    name: str
    login: str = ""
    port: int | None = None
    checkout: PurePosixPath = PurePosixPath(_CHECKOUT)
    socket: str = ""

    @property
    def is_here(self) -> bool:
        """Whether it is an engine of this machine."""
        return bool(self.socket)


def parse_box_addresses(text: str) -> tuple[BoxAddress, ...]:
    """The hosts of a comma-separated list, at least one. Raises ValueError that names the accepted form."""
    urls = [url.strip() for url in text.split(",")]
    hosts = [_parse(url) for url in urls]
    twice = [url for url, count in Counter(urls).items() if count > 1]
    if twice:
        raise ValueError(
            f"{twice[0]} is named {urls.count(twice[0])} times; a box is measured once, name it once"
        )
    if len({host.name for host in hosts}) < len(hosts):  # ssh://a/b and ssh://a/c
        hosts = [msgspec.structs.replace(host, name=f"{host.name}-{at}") for at, host in enumerate(hosts, 1)]
    return tuple(hosts)


def _parse(url: str) -> BoxAddress:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{url}: {error}; expected {FORMS}") from error
    name = re.sub(r"[^A-Za-z0-9.]+", "-", parts.netloc or parts.path).strip("-.")
    path = PurePosixPath("/" + parts.path.strip("/"))
    if parts.query or parts.fragment or not name:
        raise ValueError(f"{url or 'nothing'}: expected {FORMS}")
    if parts.scheme == "unix" and not parts.netloc and path.name:
        return BoxAddress(url=url, name=name, socket=str(path))
    login = parts.netloc.removesuffix(f":{port}")
    if parts.scheme == "ssh" and all(_WORD.fullmatch(word) for word in login.split("@", 1)):
        checkout = path if path.name else PurePosixPath(_CHECKOUT)
        return BoxAddress(url=url, name=name, login=login, port=port, checkout=checkout)
    hint = ""
    if parts.scheme in ("tcp", "http", "https"):
        hint = ". An engine elsewhere is measured from its own machine: ssh:// to that"
    raise ValueError(f"{url}: expected {FORMS}{hint}")
