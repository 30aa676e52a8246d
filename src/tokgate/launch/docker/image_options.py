"""The options that an image's engine takes, as its own --help says: for images whose tag states no version too."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from difflib import get_close_matches

from docker import DockerClient
from docker.errors import APIError, NotFound
from requests.exceptions import RequestException

from tokgate._exceptions import OptionRejected
from tokgate.config.engine_options import REMOVED
from tokgate.config.server import DockerLaunch, Engine, ServerSpec

# llama.cpp names a wrong option in its first tenth of a second; vLLM after all of its imports, and at the end of a usage
# text of hundreds of lines.
_HELP: dict[Engine, str] = {"vllm": "--help=all"}
_KNOWN_TO_ALL = "--port"  # a help that does not list it is not the whole help
_TIMEOUT_S = 120
_OPTION = re.compile(r"(?<![\w-])--[A-Za-z][\w-]*")

_seen: dict[tuple[str, str | None], frozenset[str] | None] = {}


def check_options(client: DockerClient, spec: ServerSpec, *, labels: Mapping[str, str]) -> None:
    """Raise OptionRejected when an option in `launch.args` is none of those the image's --help lists.

    Asked once for each image, in a container that ends by itself. An image that does not answer, or lists too
    little to be the whole, is not judged.
    """
    how = spec.launch
    assert isinstance(how, DockerLaunch)
    if spec.engine not in _HELP:
        return
    key = (str(client.images.get(how.image).id), how.entrypoint)
    if key not in _seen:
        _seen[key] = _listed(_help(client, how, _HELP[spec.engine], labels))
    accepted = _seen[key]
    for option in unknown(how.args, accepted) if accepted else ():
        raise OptionRejected(
            f"image {how.image} takes no option {option}: its --help lists {len(accepted or ())} others"
            f"{_instead(spec.engine, option, accepted or ())}. Next: correct `launch.args`.",
            server=spec.name,
            option=option,
        )


def unknown(args: Iterable[str], accepted: frozenset[str]) -> list[str]:
    """The long options among `args` that none of `accepted` is, or is the beginning of, as argparse allows."""
    given = (
        arg.partition("=")[0].partition(".")[0].replace("_", "-") for arg in args if arg.startswith("--")
    )
    return [option for option in given if not any(known.startswith(option) for known in accepted)]


def _listed(text: str | None) -> frozenset[str] | None:
    options = frozenset(_OPTION.findall(text or ""))
    return options if _KNOWN_TO_ALL in options else None


def _help(client: DockerClient, how: DockerLaunch, ask: str, labels: Mapping[str, str]) -> str | None:
    container = None
    try:
        container = client.containers.create(
            image=how.image,
            command=[ask],
            entrypoint=how.entrypoint,
            network_mode="none",
            environment={"COLUMNS": "400"},  # no option is broken over two lines
            labels=dict(labels),
        )
        container.start()
        code = container.wait(timeout=_TIMEOUT_S)["StatusCode"]
        return container.logs().decode(errors="replace") if code == 0 else None
    except (APIError, RequestException):
        return None
    finally:
        if container is not None:
            with suppress(NotFound, RequestException):
                container.remove(force=True, v=True)


def _instead(engine: Engine, option: str, accepted: Iterable[str]) -> str:
    for removed in REMOVED:
        if (removed.engine, removed.option) == (engine, option):
            return f"; {removed.instead}"
    close = get_close_matches(option, list(accepted), n=1)
    return f"; did you mean {close[0]}?" if close else ""
