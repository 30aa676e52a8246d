"""Engine: everything tokgate knows about one LLM engine. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import msgspec

_UNKNOWN_BUILD = "unknown"  # llama.cpp's build number when it was built outside its repository


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """One way in which a server shows which engine it is.

    path: the page that shows it.
    field: dotted path of a JSON field (`data.0.owned_by`); empty when the page is plain text.
    value: regular expression that the whole field, or text, matches.
    """

    path: str
    field: str = ""
    value: str

    def fits(self, page: object) -> bool:
        """Whether `page` (decoded JSON, or text; None without an answer) shows this engine."""
        value = read_field(page, self.field) if self.field else page
        return isinstance(value, str) and re.fullmatch(self.value, value.strip()) is not None


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """A command-line option that the engine rejects from version `since` on; instead: what to do about it."""

    option: str
    since: tuple[int, int, int]
    instead: str


class KnownFailure(msgspec.Struct, frozen=True):
    """pattern: regular expression of a log line that explains a failure (case is ignored); hint: what to do."""

    pattern: str
    hint: str


class LogFormat(msgspec.Struct, frozen=True, kw_only=True):
    """Regular expressions of the engine's log lines; empty: nothing beyond what all logs have in common.

    prefix: what its logger writes before the text; harmless: the start of a line that is not an error.
    error: part of a line that is one, before its prefix is removed.
    consequence: an error that only follows from an earlier one, so that it explains nothing.
    """

    prefix: str = ""
    harmless: str = ""
    error: str = ""
    consequence: str = ""


class Counters(msgspec.Struct, frozen=True, kw_only=True):
    """The engine's own counters, in Prometheus' format; None where it counts no such thing.

    path: their page. prompt_tokens, generation_tokens: totals.
    ttft, decode: histograms of seconds of one request, without `_sum` and `_count`.
    front_end_s: how much later (seconds) than `ttft` a client may see the first token.
    """

    path: str = "/metrics"
    prompt_tokens: str | None = None
    generation_tokens: str | None = None
    ttft: str | None = None
    decode: str | None = None
    front_end_s: float = 0.0


class Engine(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One LLM engine. A new engine is one more file in this package with an `ENGINE` in it.

    name: as YAML files and run records write it.
    marks: how a server identifies itself, any of which is enough; none: it stands for every other server.
    rank: order in which engines are tried, lowest first; raised for an engine whose pages others imitate.
    health: the page that answers 200 when a server is ready.
    info: JSON pages that state version and settings; their keys are merged.
    version: dotted path of the version in them; settings: those of the settings to record, the last one winning.
    read_log: settings that only its log states.
    body: fields of every request beyond OpenAI's own, such as those that keep prompt caches out.
    fixed_length: fields that make an answer exactly `max_tokens` long; None: the engine has none, so that an
    answer which ends early makes its launch invalid (`wrong_length`).
    free_length: fields that let an answer end by itself, for the canary.
    stream_options: OpenAI's, as far as the engine knows them. headers: of every request.
    rename: how to start it with another model name, None when that is not one option.
    startup_s: typical seconds from start to ready, without reading the weights: an estimate until a run shows it.
    reserves_memory: whether it takes most of the GPU's memory when it starts, so that no second server fits next to it.
    help: arguments that make its image list its options, None when an image cannot be asked.
    removed: options that later versions reject.
    counters: None when it has none, or when they say nothing that its answers do not say.
    failures: known causes in its log, most specific first; log: how its log lines look.
    """

    name: str
    marks: tuple[Mark, ...] = ()
    rank: int = 0
    health: str = "/health"
    info: tuple[str, ...] = ()
    version: str = "version"
    settings: tuple[str, ...] = ()
    read_log: Callable[[str], dict[str, str]] | None = None
    body: Mapping[str, object] = {}
    fixed_length: Mapping[str, object] | None = None
    free_length: Mapping[str, object] = {}
    stream_options: Mapping[str, bool] = msgspec.field(default_factory=lambda: {"include_usage": True})
    headers: Mapping[str, str] = {}
    rename: str | None = None
    startup_s: float = 30.0
    reserves_memory: bool = False
    help: tuple[str, ...] | None = None
    removed: tuple[Removed, ...] = ()
    counters: Counters | None = None
    failures: tuple[KnownFailure, ...] = ()
    log: LogFormat = LogFormat()

    @property
    def is_fallback(self) -> bool:
        """Whether it stands for every OpenAI-compatible server that no other engine recognizes."""
        return not self.marks

    def timed_body(self, extra: Mapping[str, object]) -> dict[str, object]:
        """The fields of a timed request, whose answer has a fixed length where that is possible.

        extra: fields that the server's spec declares; they override the engine's.
        """
        return {**self.body, **(self.fixed_length or {}), **extra}

    def canary_body(self, extra: Mapping[str, object]) -> dict[str, object]:
        """The fields of a canary's request, whose answer ends by itself whatever `extra` says."""
        return {**self.body, **extra, **self.free_length}

    def read_version(self, page: Mapping[str, object]) -> str | None:
        """The version that an info page states; None when it states none."""
        version = read_field(page, self.version)
        return version if isinstance(version, str) and version and not version.endswith(_UNKNOWN_BUILD) else None

    def read_settings(self, page: Mapping[str, object]) -> dict[str, str]:
        """The settings that an info page states, by the last part of their path; lists and objects are left out."""
        stated = ((path.rpartition(".")[2], read_field(page, path)) for path in self.settings)
        return {name: str(value) for name, value in stated if isinstance(value, str | int | float)}


def owned_by(name: str) -> Mark:
    """The mark of an engine that names itself as the owner of its models."""
    return Mark(path="/v1/models", field="data.0.owned_by", value=re.escape(name))


def read_field(page: object, path: str) -> object:
    """The value at dotted `path` of decoded JSON (numbers index lists); None when there is none."""
    for part in path.split("."):
        if isinstance(page, Mapping):
            page = page.get(part)
        elif isinstance(page, list) and part.isdigit() and int(part) < len(page):
            page = page[int(part)]
        else:
            return None
    return page
