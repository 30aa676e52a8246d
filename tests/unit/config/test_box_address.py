"""Where the boxes of a run over many are: what is taken, and what is refused with the accepted form."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.config.box_address import parse_box_addresses

WORDS = st.from_regex(r"[a-z0-9][a-z0-9.-]{0,8}", fullmatch=True)
URLS = st.one_of(
    st.builds("ssh://{}".format, WORDS),
    st.builds("ssh://{}@{}:{}/{}/{}".format, WORDS, WORDS, st.integers(1, 65535), WORDS, WORDS),
    st.builds("unix:///{}/{}".format, WORDS, WORDS),
)


def test_ssh_address() -> None:
    """An ssh:// URL has a login, a port and the folder of the checkout."""
    near, far = parse_box_addresses("ssh://a, ssh://me@b.lan:2222/srv/tokgate/")
    assert (near.login, near.port, near.checkout) == ("a", None, PurePosixPath("tokgate"))
    assert (far.login, far.port, far.checkout) == ("me@b.lan", 2222, PurePosixPath("/srv/tokgate"))
    assert not near.is_here


def test_unix_address() -> None:
    """A unix:// URL is the socket of a Docker daemon on this machine."""
    (host,) = parse_box_addresses("unix:///run/x.sock")
    assert (host.socket, host.name, host.is_here) == ("/run/x.sock", "run-x.sock", True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "(empty): expected ssh://"),
        ("ssh://a,", "(empty): expected ssh://"),
        ("a", "a: expected ssh://"),
        ("ssh://", "ssh://: expected"),
        ("unix:///", "unix:///: expected"),
        ("unix://x.sock", "unix://x.sock: expected"),
        ("tcp://10.0.0.1:2375", "use ssh:// to that machine"),
        ("ssh://a:port", "ssh://a:port: Port could not be cast"),
        ("ssh://me:secret@a", "expected ssh://"),
        ("ssh://-oProxyCommand=x", "expected ssh://"),
        ("ssh://a b", "expected ssh://"),
        ("ssh://a?x=1", "expected ssh://"),
        ("ssh://a,unix:///x,ssh://a", "ssh://a is listed 2 times; list each box once"),
    ],
)
def test_invalid_addresses_are_rejected(text: str, message: str) -> None:
    """The error names the accepted form."""
    with pytest.raises(ValueError, match=re.escape(message)):
        parse_box_addresses(text)


@given(st.lists(URLS, min_size=1, max_size=5, unique=True))
def test_names_are_unique(urls: list[str]) -> None:
    """The names of boxes are unique and valid in a path."""
    hosts = parse_box_addresses(",".join(urls))
    assert [host.url for host in hosts] == urls
    assert len({host.name for host in hosts}) == len(urls)
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]*", host.name) for host in hosts)


@given(st.text(max_size=30))
def test_addresses_are_safe_for_ssh(text: str) -> None:
    """No accepted address looks like an option of ssh."""
    try:
        hosts = parse_box_addresses(text)
    except ValueError:
        return
    assert all(host.is_here or re.fullmatch(r"[\w.-]+(@[\w.-]+)?", host.login) for host in hosts)
    assert not any(word.startswith("-") for host in hosts for word in host.login.split("@"))
