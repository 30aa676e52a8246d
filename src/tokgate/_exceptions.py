"""Every error tokgate raises on purpose.

    TokgateError
    ├── SpecError            a YAML or JSONL file says something wrong (file, line, key)
    ├── UsageError           options that do not go together
    ├── LaunchError          a server could not be had
    │   ├── DockerUnavailable
    │   ├── ImageMissing
    │   ├── ModelMissing
    │   ├── PortTaken
    │   ├── OptionRejected   the image's engine takes no such option
    │   ├── ServerExited     it ended before or while it was needed (exit code, root cause, log)
    │   └── ServerNotReady   it never became ready (what was last seen, how long was waited)
    ├── ModelUnavailable     a model cannot be fetched, or what was fetched is not it
    ├── ServerUnreachable    a running server no longer answers
    ├── HostUnusable         a box that was named cannot be measured on
    ├── LeaseHeld            another run has this machine
    ├── RecordError          a run record or baseline cannot be read or written
    ├── BaselineRefused      this run must not become a baseline
    └── NotChecked           the budget had no room for it

The text of each says what was tried, what was seen, what was expected and what to do next.
Callers catch classes and read fields; they never parse the text.
"""

from __future__ import annotations

from pathlib import Path


class TokgateError(Exception):
    """Base of all errors that a person can act on; `str(error)` is the whole message."""


class SpecError(TokgateError):
    """A declared file is wrong.

    file: the file; line: 1-based, None when the file as a whole is meant;
    key: dotted path of the key inside the file, empty at the top.
    """

    def __init__(self, message: str, *, file: Path, line: int | None = None, key: str = "") -> None:
        self.file, self.line, self.key = file, line, key
        where = f"{file}:{line}" if line is not None else str(file)
        super().__init__(f"{where}: {f'`{key}`: ' if key else ''}{message}")


class UsageError(TokgateError):
    """Options or arguments that do not make sense together."""


class LaunchError(TokgateError):
    """A server could not be had. `server` is its name in the specs."""

    def __init__(self, message: str, *, server: str) -> None:
        self.server = server
        super().__init__(f"server {server}: {message}")


class DockerUnavailable(LaunchError):
    """No Docker engine answers."""


class ImageMissing(LaunchError):
    """The image is not on this machine."""


class ModelMissing(LaunchError):
    """The model file is not on this machine."""


class PortTaken(LaunchError):
    """Something else listens on the server's port."""


class OptionRejected(LaunchError):
    """The engine in the image takes no such option. option: as written in the arguments."""

    def __init__(self, message: str, *, server: str, option: str) -> None:
        self.option = option
        super().__init__(message, server=server)


class ServerExited(LaunchError):
    """The server's process or container ended.

    exit_code: as the operating system gave it, None when unknown;
    root_cause: the log line that explains it (not merely the last), empty when the log is empty;
    log_path: the whole log.
    """

    def __init__(
        self, message: str, *, server: str, exit_code: int | None, root_cause: str, log_path: Path | None
    ) -> None:
        self.exit_code, self.root_cause, self.log_path = exit_code, root_cause, log_path
        super().__init__(message, server=server)


class ServerNotReady(LaunchError):
    """The server was alive but not ready in time. last_seen: the last answer in words; waited_s: seconds."""

    def __init__(
        self, message: str, *, server: str, last_seen: str, waited_s: float, log_path: Path | None
    ) -> None:
        self.last_seen, self.waited_s, self.log_path = last_seen, waited_s, log_path
        super().__init__(message, server=server)


class ModelUnavailable(TokgateError):
    """A model's files cannot be fetched, or what was fetched is not what it should be."""


class ServerUnreachable(TokgateError):
    """A server that should be up does not answer. url: what was asked."""

    def __init__(self, message: str, *, url: str) -> None:
        self.url = url
        super().__init__(message)


class HostUnusable(TokgateError):
    """A box of `--tokgate-hosts` cannot be reached, or has not what it takes. host: as it was named."""

    def __init__(self, message: str, *, host: str) -> None:
        self.host = host
        super().__init__(f"{host}: {message}")


class LeaseHeld(TokgateError):
    """Another run measures on this machine. holder: who, in words."""

    def __init__(self, message: str, *, holder: str) -> None:
        self.holder = holder
        super().__init__(message)


class RecordError(TokgateError):
    """A file of the store cannot be read or written. path: which."""

    def __init__(self, message: str, *, path: Path) -> None:
        self.path = path
        super().__init__(f"{path}: {message}")


class BaselineRefused(TokgateError):
    """The run must not become a baseline: it is invalid, regressed or incomplete."""


class NotChecked(TokgateError):
    """The run's budget had no room to check it; it neither passed nor failed."""
