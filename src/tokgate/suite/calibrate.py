"""Self-calibration: this client, on this machine and now, against a server that knows when it sent each token."""

from __future__ import annotations

from tokgate.config.workload import Closed
from tokgate.drive.client import Endpoint, Request
from tokgate.drive.load import drive
from tokgate.drive.truth.process import TruthServer, start_truth_server
from tokgate.drive.truth.scenario import Scenario
from tokgate.measure.bias import compute_bias, pick_smallest
from tokgate.measure.measurement import Bias

SECONDS = 2.0
"""Duration of a calibration: long enough for 200 tokens of each of few streams, short beside a launch."""

MOST_STREAMS = 1000
"""The truth server cannot keep its schedule with more streams; a case with more gets the bias at this number."""

TTFT_S = 0.1
"""As short as a small model's, so that a delay of a few milliseconds is a visible share of it."""

LEAST_ITL_S = 0.01
"""100 tokens per second and stream: faster than the servers this project measures."""

TOKENS_PER_S = 4000
"""Of all streams together: far below the client's limit, so that its delay is not that of a queue."""

SLICES = 4
"""With many streams half as many, so that each stream still gets some tokens in each slice."""


def measure_client_bias(streams: int) -> Bias | None:
    """The bias of this client with this many streams; None when a calibration request failed.

    Measured in slices, and the least of each value counts: what the client adds is in every slice, what
    disturbs the machine for a moment is not (and the monitor sees it where it matters).
    """
    streams = min(streams, MOST_STREAMS)
    itl_s = max(LEAST_ITL_S, streams / TOKENS_PER_S)
    slices = SLICES if itl_s < 0.1 else SLICES // 2
    tokens = max(5, round((SECONDS / slices - TTFT_S) / itl_s))
    try:
        with start_truth_server() as truth_server:
            truth_server.serve(Scenario(ttft_s=TTFT_S, itl_s=itl_s, tokens=tokens, role=False))
            return pick_smallest([_slice(truth_server, streams, tokens) for _ in range(slices)])
    except (ValueError, OSError):
        return None


def _slice(truth_server: TruthServer, streams: int, tokens: int) -> Bias:
    requests = [
        Request(prompt_id=str(n), messages=({"role": "user", "content": str(n)},), max_tokens=tokens)
        for n in range(streams)
    ]
    result = drive(
        Endpoint(base_url=truth_server.url, model="reference"),
        requests,
        Closed(concurrency=streams),
        request_timeout_s=30,
        stall_timeout_s=30,
        seed=0,
    )
    truth = {record.prompt: record for record in truth_server.truth()}
    return compute_bias(result.samples, [truth[request.prompt_id] for request in requests], streams=streams)
