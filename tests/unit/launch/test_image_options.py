"""Which of a server's options an engine's --help does not list."""

from __future__ import annotations

import pytest

from tokgate.launch.docker.image_options import find_unknown_options, read_options

ACCEPTED = frozenset({"--port", "--max-num-seqs", "--no-enable-prefix-caching", "--compilation-config"})
HELP = """\
usage: vllm serve [model_tag] [options]
  --port PORT           Port number. (default: 8000)
  --max-num-seqs N      Sequences in one batch, --max-num-batched-tokens at most
  -O, --compilation-config, -cc COMPILATION_CONFIG
"""


@pytest.mark.parametrize(
    ("args", "unknown"),
    [
        (["--port", "80", "--max-num-seqs=16"], []),
        (["--max_num_seqs", "16"], []),
        (["--max-num", "16"], []),  # argparse accepts the beginning of an option
        (["--compilation-config.mode=3", "-O3"], []),
        (["--swap-space", "16", "--port", "80"], ["--swap-space"]),
        (["--port-range", "--maximum=3"], ["--port-range", "--maximum"]),
        (["-m", "/model", "a--b"], []),
    ],
)
def test_unknown_options(args: list[str], unknown: list[str]) -> None:
    assert find_unknown_options(args, ACCEPTED) == unknown


def test_options_of_a_help_text() -> None:
    """A help text without --port is not complete, and neither is an image's that did not answer."""
    assert read_options(HELP) == {
        "--port",
        "--max-num-seqs",
        "--max-num-batched-tokens",
        "--compilation-config",
    }
    assert read_options(HELP.replace("--port", "--host")) == frozenset()
    assert read_options("") == frozenset()
