"""Every error tokgate raises on purpose.

    TokgateError
    ├── SpecError            a YAML or JSONL file is wrong (file, line, key)
    ├── UsageError           options that are wrong or contradict each other
    │   └── ExtraMissing     a feature needs an optional dependency that is not installed
    ├── LaunchError          a server did not start
    │   ├── DockerUnavailable
    │   ├── EngineMissing
    │   ├── ImageMissing
    │   ├── ModelMissing
    │   ├── DeviceMissing
    │   ├── PortTaken
    │   ├── OptionRejected   the engine in the image does not accept this option
    │   ├── ServerExited     it ended too early (exit code, root cause, log)
    │   ├── ServerNotReady   it did not become ready in time (last answer, seconds waited)
    │   └── ServerNotIdle    it worked while it had to be idle (CPU seconds used)
    ├── ModelUnavailable     a model cannot be fetched, or its files are not the declared ones
    ├── ServerUnreachable    a running server no longer answers
    ├── HostUnusable         a box of --tokgate-hosts cannot be used
    ├── LeaseHeld            another run is measuring on this machine
    ├── RecordError          a run record or baseline cannot be read or written
    ├── BaselineRefused      this run must not become a baseline
    └── NotChecked           it could not be checked
        └── NotTonight       the budget had no time for it; a later run measures it

Each message states what was tried, what was seen, what was expected and what to do next.
Callers catch classes and read fields; they never parse the text.
"""

from __future__ import annotations

from pathlib import Path

from tokgate._printable import escape_line, escape_text


class TokgateError(Exception):
    """Base class of the errors that a user can act on; `str(error)` is the whole message, ready to be printed."""

    def __init__(self, message: str) -> None:
        super().__init__(escape_text(message))


class SpecError(TokgateError):
    """A YAML or JSONL file is wrong.

    file: the file.
    line: 1-based; None when the error concerns the whole file.
    key: dotted path of the key inside the file; empty at the top level.
    """

    def __init__(self, message: str, *, file: Path, line: int | None = None, key: str = "") -> None:
        self.file, self.line, self.key = file, line, key
        where = f"{file}:{line}" if line is not None else str(file)
        super().__init__(escape_line(f"{where}: {f'`{key}`: ' if key else ''}{message}"))


class UsageError(TokgateError):
    """Options or arguments that are wrong, or that contradict each other."""


class ExtraMissing(UsageError):
    """A feature needs an optional dependency that is not installed.

    extra: the extra of the `tokgate` distribution that brings it.
    """

    def __init__(self, feature: str, package: str, *, extra: str) -> None:
        self.extra = extra
        super().__init__(f"{feature} needs {package}, which is not installed. Next: pip install 'tokgate[{extra}]'")


class LaunchError(TokgateError):
    """A server did not start. server: its name in the specs."""

    def __init__(self, message: str, *, server: str) -> None:
        self.server = server
        super().__init__(f"server {escape_line(server)}: {message}")


class DockerUnavailable(LaunchError):
    """No Docker daemon answers."""


class EngineMissing(LaunchError):
    """The embedded engine is not installed."""


class ImageMissing(LaunchError):
    """The image is not on this machine."""


class ModelMissing(LaunchError):
    """A model file, or a folder that the server needs, is not on this machine."""


class DeviceMissing(LaunchError):
    """A device node is not on this machine."""


class PortTaken(LaunchError):
    """Another process listens on the server's port."""


class OptionRejected(LaunchError):
    """The engine in the image does not accept an option. option: as written in the arguments."""

    def __init__(self, message: str, *, server: str, option: str) -> None:
        self.option = option
        super().__init__(message, server=server)


class ServerExited(LaunchError):
    """The server's process or container ended.

    exit_code: as reported by the operating system; None when unknown.
    root_cause: the log line that explains it (not merely the last); empty when the log is empty.
    log_path: the complete log.
    """

    def __init__(
        self, message: str, *, server: str, exit_code: int | None, root_cause: str, log_path: Path | None
    ) -> None:
        self.exit_code, self.root_cause, self.log_path = exit_code, root_cause, log_path
        super().__init__(message, server=server)


class ServerNotReady(LaunchError):
    """The server was running but did not become ready in time.

    last_seen: a description of its last answer.
    waited_s: how long tokgate waited, in seconds.
    log_path: the complete log.
    """

    def __init__(self, message: str, *, server: str, last_seen: str, waited_s: float, log_path: Path | None) -> None:
        self.last_seen, self.waited_s, self.log_path = last_seen, waited_s, log_path
        super().__init__(message, server=server)


class ServerNotIdle(LaunchError):
    """A server worked while another one was measured. cpu_s: CPU seconds it used; None when it was not frozen at all."""

    def __init__(self, message: str, *, server: str, cpu_s: float | None = None) -> None:
        self.cpu_s = cpu_s
        super().__init__(message, server=server)


class ModelUnavailable(TokgateError):
    """A model's files cannot be fetched, or they are not the declared ones."""


class ServerUnreachable(TokgateError):
    """A running server does not answer. url: the URL that was requested."""

    def __init__(self, message: str, *, url: str) -> None:
        self.url = url
        super().__init__(message)


class HostUnusable(TokgateError):
    """A box of `--tokgate-hosts` cannot be reached or is not set up. host: as written in the option."""

    def __init__(self, message: str, *, host: str) -> None:
        self.host = host
        super().__init__(f"{escape_line(host)}: {message}")


class LeaseHeld(TokgateError):
    """Another run is measuring on this machine. holder: a description of that run."""

    def __init__(self, message: str, *, holder: str) -> None:
        self.holder = holder
        super().__init__(message)


class RecordError(TokgateError):
    """A record, baseline or import cannot be read or written. path: the file."""

    def __init__(self, message: str, *, path: Path) -> None:
        self.path = path
        super().__init__(escape_line(f"{path}: {message}"))


class BaselineRefused(TokgateError):
    """The run must not become a baseline: it is invalid, regressed or incomplete."""


class NotChecked(TokgateError):
    """It could not be checked; it neither passed nor failed."""


class NotTonight(NotChecked):
    """The budget of the run had no time for it, and a later run measures it."""
