"""The options that an image's engine accepts, by its own --help: also for images whose tag states no version."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path

from docker import DockerClient
from docker.errors import APIError, NotFound
from requests.exceptions import RequestException

from tokgate import engines
from tokgate._exceptions import OptionRejected
from tokgate._secrets import redact
from tokgate.config.bounds import OUTPUT_S
from tokgate.config.server import DockerLaunch, ServerSpec
from tokgate.engines.engine import Engine
from tokgate.launch.docker.daemon import collect_output, guarded_container

_ALWAYS_LISTED = "--port"  # a help text without it is not complete
_OPTION = re.compile(r"(?<![\w-])--[A-Za-z][\w-]*")


def check_options(
    client: DockerClient, spec: ServerSpec, *, name: str, labels: Mapping[str, str], log_dir: Path
) -> None:
    """Raise OptionRejected when the image's --help does not list an option of `launch.args`.

    Each image is asked once a run, in a container that ends by itself; its help is kept in log_dir. An image
    that does not answer, or whose list is not complete, is not judged.
    name, labels: of that container.
    """
    how, engine = spec.launch, engines.find(spec.engine)
    assert isinstance(how, DockerLaunch)
    if engine.help is None:
        return
    image = str(client.images.get(how.image).id)
    file = log_dir / f"help-{sha256(f'{image} {how.entrypoint}'.encode()).hexdigest()[:12]}.txt"
    if not file.exists():
        log_dir.mkdir(parents=True, exist_ok=True)
        with guarded_container(name, labels, log_dir, server=spec.name) as gone:
            text = _help(client, how, engine.help, name=name, labels=labels, gone=gone)
        file.write_text(redact(text or ""))
    accepted = read_options(file.read_text())
    for option in find_unknown_options(how.args, accepted) if accepted else ():
        raise OptionRejected(
            f"image {how.image} does not accept {option}: its --help lists {len(accepted)} other options"
            f"{_instead(engine, option, accepted)}. Next: correct `launch.args`.",
            server=spec.name,
            option=option,
        )


def read_options(text: str) -> frozenset[str]:
    """The long options that a help text lists; empty when it is not the complete help."""
    options = frozenset(_OPTION.findall(text))
    return options if _ALWAYS_LISTED in options else frozenset()


def find_unknown_options(args: Iterable[str], accepted: frozenset[str]) -> list[str]:
    """The long options among `args` that are neither in `accepted` nor, as argparse allows, the beginning of one."""
    options = (arg.partition("=")[0].partition(".")[0].replace("_", "-") for arg in args if arg.startswith("--"))
    return [option for option in options if not any(known.startswith(option) for known in accepted)]


def _help(
    client: DockerClient,
    how: DockerLaunch,
    ask: Sequence[str],
    *,
    name: str,
    labels: Mapping[str, str],
    gone: Callable[[], None],
) -> str | None:
    try:
        container = client.containers.create(
            name=name,
            image=how.image,
            command=list(ask),
            entrypoint=how.entrypoint,
            network_mode="none",
            environment={"COLUMNS": "400"},  # no option is broken over two lines
            labels=dict(labels),
        )
        container.start()
        code = container.wait(timeout=OUTPUT_S)["StatusCode"]
        if code != 0:
            return None
        with closing(container.logs(stream=True)) as pieces:
            return collect_output(pieces).decode(errors="replace")
    except (APIError, RequestException):
        return None
    finally:
        with suppress(RequestException):  # then the guardian removes it
            with suppress(NotFound):
                client.api.remove_container(name, force=True, v=True)
            gone()


def _instead(engine: Engine, option: str, accepted: Iterable[str]) -> str:
    for removed in engine.removed:
        if removed.option == option:
            return f"; {removed.instead}"
    close = get_close_matches(option, list(accepted), n=1)
    return f"; did you mean {close[0]}?" if close else ""
