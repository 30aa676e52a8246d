"""Which of a server's options an engine's --help does not list."""

from __future__ import annotations

import pytest

from tokgate.launch.docker.image_options import unknown

ACCEPTED = frozenset({"--port", "--max-num-seqs", "--no-enable-prefix-caching", "--compilation-config"})


@pytest.mark.parametrize(
    ("args", "wrong"),
    [
        (["--port", "80", "--max-num-seqs=16"], []),
        (["--max_num_seqs", "16"], []),
        (["--max-num", "16"], []),  # argparse takes a beginning
        (["--compilation-config.mode=3", "-O3"], []),
        (["--swap-space", "16", "--port", "80"], ["--swap-space"]),
        (["--port-range", "--maximum=3"], ["--port-range", "--maximum"]),
        (["-m", "/model", "a--b"], []),
    ],
)
def test_what_is_not_listed_is_unknown(args: list[str], wrong: list[str]) -> None:
    assert unknown(args, ACCEPTED) == wrong
