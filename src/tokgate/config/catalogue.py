"""Catalogue: everything declared under `fixtures/`, by name, with its references checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from tokgate._exceptions import SpecError
from tokgate.config.explain import KeyPath, nearest
from tokgate.config.hardware import Hardware
from tokgate.config.hypothesis import MOST_ARMS, Hypothesis
from tokgate.config.load import Document
from tokgate.config.metric import find_metric
from tokgate.config.names import explain_name
from tokgate.config.profile import Profile
from tokgate.config.prompts import read_prompts
from tokgate.config.server import ServerSpec
from tokgate.config.workload import PromptSet, Workload

T = TypeVar("T", ServerSpec, Workload, Hardware, Profile, Hypothesis)

CheckServer = Callable[[ServerSpec], Iterable[tuple[KeyPath, str]]]
"""(place in the spec, what is wrong) of each error that only layers above this one can see."""


class Catalogue:
    """The declared servers, workloads, prompt sets, hardware, hypotheses and profiles of one folder.

    A file is read when it is needed, so that an error in it affects only what refers to it; `check` reads all.
    """

    def __init__(self, root: Path, check_server: CheckServer = lambda spec: ()) -> None:
        self.root, self._check_server = root, check_server

    def names(self, kind: str) -> list[str]:
        """The names declared in the folder `kind`: servers, workloads, prompts, hardware, hypotheses or profiles."""
        return sorted(path.stem for path in (self.root / kind).glob(self._path(kind, "*").name))

    def server(self, name: str, override: Mapping[str, object] | None = None) -> ServerSpec:
        """One server, its YAML overridden by `override`. Raises SpecError."""
        document = self._document("servers", name)
        if override:
            path = self._path("servers", name)
            document = document.merged(Document(override, {(): (path, 1)}))
        spec = self._named(document, ServerSpec, name)
        for place, wrong in self._check_server(spec):
            raise document.error(wrong, place)
        return spec

    def workload(self, name: str) -> Workload:
        """One workload, whose prompt set exists. Raises SpecError."""
        document = self._document("workloads", name)
        workload = self._named(document, Workload, name)
        self._refer(document, ("prompts",), "prompts", workload.prompts)
        for place, metric in enumerate(workload.gate):
            if find_metric(metric).gate == "limits" and workload.limits is None:
                raise document.error(f"`{metric}` requires `limits`", ("gate", place))
        return workload

    def prompts(self, name: str) -> PromptSet:
        """One prompt set, with its hash checked. Raises SpecError."""
        return read_prompts(self._path("prompts", name))

    def hardware(self, name: str) -> Hardware:
        """One chip. Raises SpecError."""
        return self._named(self._document("hardware", name), Hardware, name)

    def hypothesis(self, name: str) -> Hypothesis:
        """One hypothesis, whose arms (with their overrides) and workload are valid. Raises SpecError."""
        document = self._document("hypotheses", name)
        hypothesis = self._named(document, Hypothesis, name)
        for key, error in (("arms", _arms_error(hypothesis)), ("claim", _claim_error(hypothesis))):
            if error:
                raise document.error(error, (key,))
        for name_of_arm, arm in hypothesis.named_arms.items():
            path = ("arms", name_of_arm, "server") if hypothesis.arms else (name_of_arm, "server")
            self._refer(document, path, "servers", arm.server)
            self.server(arm.server, arm.override)
        self._refer(document, ("workload",), "workloads", hypothesis.workload)
        return hypothesis

    def profile(self, name: str) -> Profile:
        """A profile by name or by the path of a YAML file; everything that it lists exists. Raises SpecError."""
        if name.endswith((".yaml", ".yml")) or "/" in name:
            path = Path(name)
            document, name = Document.read(path), path.stem
        else:
            document = self._document("profiles", name)
        profile = self._named(document, Profile, name)
        for key in ("budget", "night", "shelf_life"):
            if (seconds := getattr(profile, key)) is not None and seconds <= 0:
                raise document.error("must be more than 0", (key,))
        for index, cells in enumerate(profile.cells):
            for key in ("servers", "workloads"):
                for place, entry in enumerate(getattr(cells, key)):
                    self._refer(document, ("cells", index, key, place), key, entry)
        for place, entry in enumerate(profile.hypotheses):
            self._refer(document, ("hypotheses", place), "hypotheses", entry)
        for place, conclusion in enumerate(profile.conclusions):
            for entry in conclusion.when:
                if entry not in profile.hypotheses:
                    raise document.error(
                        f"no such hypothesis in this profile: `{entry}`; {nearest(entry, profile.hypotheses)}",
                        ("conclusions", place, "when", entry),
                    )
        if profile.hardware is not None:
            self._refer(document, ("hardware",), "hardware", profile.hardware)
        return profile

    def check(self) -> Iterator[tuple[str, str, str | SpecError]]:
        """Read everything: yields (kind, name, its description or the error) for each file."""
        readers: dict[str, Callable[[str], str]] = {
            "hardware": lambda name: self.hardware(name).description,
            "prompts": lambda name: f"{len(self.prompts(name).prompts)} prompts",
            "servers": lambda name: self.server(name).description,
            "workloads": lambda name: self.workload(name).description,
            "hypotheses": lambda name: self.hypothesis(name).title,
            "profiles": lambda name: self.profile(name).description,
        }
        for kind, read in readers.items():
            for name in self.names(kind):
                try:
                    yield kind, name, read(name)
                except SpecError as error:
                    yield kind, name, error

    def _path(self, kind: str, name: str) -> Path:
        return self.root / kind / f"{name}.{'jsonl' if kind == 'prompts' else 'yaml'}"

    def _document(self, kind: str, name: str, seen: tuple[str, ...] = ()) -> Document:
        """The file of `name`, merged over the file that it `extends`, if any."""
        path = self._path(kind, name)
        if name not in self.names(kind):
            raise SpecError(self._unknown(kind, name), file=path)
        document = Document.read(path)
        base = document.data.pop("extends", None)
        if base is None:
            return document
        self._refer(document, ("extends",), kind, base)
        if base in (*seen, name):
            raise document.error(f"`{base}` extends itself", ("extends",))
        return self._document(kind, base, (*seen, name)).merged(document)

    def _named(self, document: Document, kind: type[T], name: str) -> T:
        if wrong := explain_name(name):
            raise document.error(f"{wrong}; rename the file")
        if "name" in document.data:
            raise document.error("the name is that of the file; remove this key", ("name",))
        return msgspec.structs.replace(document.decode(kind), name=name)

    def _refer(self, document: Document, at: KeyPath, kind: str, name: str) -> None:
        if name not in self.names(kind):
            raise document.error(self._unknown(kind, name), at)

    def _unknown(self, kind: str, name: str) -> str:
        irregular = {"prompts": "prompt set", "hardware": "hardware", "hypotheses": "hypothesis"}
        return f"no such {irregular.get(kind, kind[:-1])}: `{name}`; {nearest(name, self.names(kind))}"


def _arms_error(hypothesis: Hypothesis) -> str | None:
    """Why the arms cannot be tested; None when they can."""
    if hypothesis.arms and (hypothesis.a is not None or hypothesis.b is not None):
        return "replaces `a` and `b`; remove them"
    if hypothesis.arms and not 2 <= len(hypothesis.arms) <= MOST_ARMS:
        return f"expected 2 to {MOST_ARMS} arms, got {len(hypothesis.arms)}"
    if wrong := next(filter(None, map(explain_name, hypothesis.arms)), None):
        return wrong
    if not hypothesis.arms and hypothesis.a is None:
        return "missing; give `a` and `b`, or `arms`"
    return None


def _claim_error(hypothesis: Hypothesis) -> str | None:
    """Why the claim cannot be tested; None when it can."""
    claim = hypothesis.claim
    bounded = claim.above is not None or claim.below is not None
    kinds = {
        "above/below": bounded,
        "reach": claim.reach is not None,
        "fails": claim.fails is not None,
        "untreated": claim.untreated,
    }
    chosen = [kind for kind, is_set in kinds.items() if is_set]
    if len(chosen) != 1:
        return f"expected exactly one of {', '.join(kinds)}, got {' and '.join(chosen) or 'none'}"
    if claim.of is not None and not bounded:
        return "`of` requires `above` or `below`"
    for key, bound in (("above", claim.above), ("below", claim.below), ("reach", claim.reach)):
        if bound is not None and not 0 < bound < math.inf:
            return f"`{key}` must be a number above 0, got {bound:g}"
    if claim.above is not None and claim.below is not None and claim.above >= claim.below:
        return f"`above` must be less than `below`, got {claim.above:g} and {claim.below:g}"
    if (bounded or claim.reach is not None) and claim.metric is None:
        return "the key `metric` is missing"
    arms = hypothesis.named_arms
    if claim.alone and len(arms) > 1:
        return f"`of` and `reach` are about arm A alone; remove `{'arms' if hypothesis.arms else 'b'}`"
    if not claim.alone and len(arms) == 1:
        return "compares two arms, but the key `b` is missing"
    for key, name in (("arm", claim.arm), ("fails", claim.fails)):
        if name is not None and name not in arms:
            return f"`{key}: {name}`: no such arm; {nearest(name, arms)}"
    if bounded and hypothesis.arms and claim.arm is None:
        return f"must name the arm that its bounds are about, for example `arm: {list(arms)[-1]}`"
    return None
