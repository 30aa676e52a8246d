"""Workload: a prompt set x a load shape, as declared in `fixtures/workloads/NAME.yaml`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from tokgate.config.base import Spec
from tokgate.config.metric import METRICS, MetricName
from tokgate.config.units import Duration

Fraction = Annotated[float, Meta(gt=0, lt=1)]


class Closed(Spec, frozen=True, kw_only=True, tag_field="kind", tag="closed"):
    """Closed loop: each user sends the next request when the previous one has ended.

    concurrency: number of users.
    """

    concurrency: Annotated[int, Meta(ge=1, le=4096)] = 1


class Constant(Spec, frozen=True, kw_only=True, tag_field="kind", tag="constant"):
    """Open loop: requests are sent at a fixed rate, whether or not earlier ones have ended.

    rate_per_s: requests per second.
    """

    rate_per_s: Annotated[float, Meta(gt=0)]


class Poisson(Spec, frozen=True, kw_only=True, tag_field="kind", tag="poisson"):
    """Open loop: requests are sent at random, seeded, exponential intervals of mean 1/rate.

    rate_per_s: mean requests per second.
    """

    rate_per_s: Annotated[float, Meta(gt=0)]


Load = Closed | Constant | Poisson


class Limits(Spec, frozen=True, kw_only=True):
    """Limits a request must meet to count as goodput.

    ttft: longest time to first token.
    tpot: longest time per output token after the first.
    """

    ttft: Duration | None = None
    tpot: Duration | None = None


class Workload(Spec, frozen=True, kw_only=True):
    """A prompt set driven in one load shape.

    name: set by the loader, from the file's name.
    description: one line for lists and reports.
    prompts: name of a prompt set in fixtures/prompts.
    requests: number of timed requests in each launch.
    max_tokens: exact number of output tokens of each request.
    load: load shape.
    limits: what counts as goodput; the metric `goodput_rps` is gated only with it.
    gate: metrics that get a verdict in addition to those that get one by default.
    tolerance: by metric, the smallest loss worth failing for, as a fraction, where it differs from the default.
    promise: by metric, the loss the run must be able to detect, as a fraction, where it differs from the default.
    request_timeout: longest time for one whole request.
    stall_timeout: longest silence within a stream.
    seed: seed of the prompts' random prefixes and of open-loop intervals.
    """

    name: str = ""
    description: str
    prompts: str
    requests: Annotated[int, Meta(ge=1)]
    max_tokens: Annotated[int, Meta(ge=2)]
    load: Load = Closed()
    limits: Limits | None = None
    gate: tuple[MetricName, ...] = ()
    tolerance: dict[MetricName, Fraction] = {}
    promise: dict[MetricName, Fraction] = {}
    request_timeout: Duration = Duration(600)
    stall_timeout: Duration = Duration(60)
    seed: int = 0

    @property
    def concurrency(self) -> int:
        """The number of streams that may be open at once: users of a closed loop, all requests of an open loop."""
        return self.load.concurrency if isinstance(self.load, Closed) else self.requests

    @property
    def gated(self) -> tuple[MetricName, ...]:
        """The metrics that get a verdict, in the order reports use."""
        applies = {
            "always": True,
            "several streams": self.concurrency > 1,
            "limits": self.limits is not None,
            "on request": False,
        }
        return tuple(metric.name for metric in METRICS if applies[metric.gate] or metric.name in self.gate)


class Prompt(Spec, frozen=True, kw_only=True):
    """One line of a prompt set.

    id: unique in the file.
    messages: chat messages, each with `role` and `content`.
    answer: for canary questions, text that a correct answer contains.
    """

    id: str
    messages: tuple[dict[str, str], ...]
    answer: str | None = None


class PromptSet(Spec, frozen=True, kw_only=True):
    """`fixtures/prompts/NAME.jsonl`, whose hash is listed in the file `SHA256SUMS` next to it."""

    name: str
    sha256: str
    prompts: tuple[Prompt, ...]
