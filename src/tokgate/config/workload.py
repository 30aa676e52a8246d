"""Workload: a prompt set x a load shape, as declared in `fixtures/workloads/NAME.yaml`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from tokgate.config.base import Spec
from tokgate.config.metric import Metric
from tokgate.config.units import Duration

Fraction = Annotated[float, Meta(gt=0, lt=1)]


class Closed(Spec, frozen=True, kw_only=True, tag_field="kind", tag="closed"):
    """So many users, each sending the next request when the last has ended."""

    concurrency: Annotated[int, Meta(ge=1, le=4096)] = 1


class Constant(Spec, frozen=True, kw_only=True, tag_field="kind", tag="constant"):
    """Requests leave at a fixed rate, whether or not earlier ones have ended (open loop)."""

    rate_per_s: Annotated[float, Meta(gt=0)]


class Poisson(Spec, frozen=True, kw_only=True, tag_field="kind", tag="poisson"):
    """Requests leave at random, seeded, exponential gaps of mean 1/rate (open loop)."""

    rate_per_s: Annotated[float, Meta(gt=0)]


Load = Closed | Constant | Poisson


class Limits(Spec, frozen=True, kw_only=True):
    """What a request must meet to count as goodput."""

    ttft: Duration | None = None
    tpot: Duration | None = None


class Workload(Spec, frozen=True, kw_only=True):
    """A prompt set driven in one load shape.

    requests: how many are timed in each launch; max_tokens: asked of each, exactly.
    tolerance, promise: by metric, where they differ from the defaults of the gate (fractions).
    request_timeout: one request, whole; stall_timeout: longest silence within a stream.
    """

    name: str = ""
    description: str
    prompts: str
    requests: Annotated[int, Meta(ge=1)]
    max_tokens: Annotated[int, Meta(ge=2)]
    load: Load = Closed()
    limits: Limits | None = None
    tolerance: dict[Metric, Fraction] = {}
    promise: dict[Metric, Fraction] = {}
    request_timeout: Duration = Duration(600)
    stall_timeout: Duration = Duration(60)
    seed: int = 0

    @property
    def concurrency(self) -> int:
        """Streams that may be open at once: users of a closed loop, every request of an open one."""
        return self.load.concurrency if isinstance(self.load, Closed) else self.requests

    @property
    def gated(self) -> tuple[Metric, ...]:
        """The metrics that get a verdict, in the order reports use."""
        many: tuple[Metric, ...] = ("output_tps",) if self.concurrency > 1 else ()
        limited: tuple[Metric, ...] = ("goodput_rps",) if self.limits is not None else ()
        return (*many, "decode_tps", "prefill_tps", "ttft_s", *limited)


class Prompt(Spec, frozen=True, kw_only=True):
    """One line of a prompt set: what is sent, and for canaries the answer it must contain."""

    id: str
    messages: tuple[dict[str, str], ...]
    answer: str | None = None


class PromptSet(Spec, frozen=True, kw_only=True):
    """`fixtures/prompts/NAME.jsonl`, whose hash is stated in `SHA256SUMS` beside it."""

    name: str
    sha256: str
    prompts: tuple[Prompt, ...]
