"""Self-calibration: this client, on this machine and now, against a server whose every send is known."""

from __future__ import annotations

from functools import cache

from tokgate.config.workload import Closed
from tokgate.drive.client import Endpoint, Request
from tokgate.drive.load import drive
from tokgate.drive.truth.process import TruthServer, start_truth_server
from tokgate.drive.truth.scenario import Scenario
from tokgate.measure.bias import bias_of, least
from tokgate.measure.measurement import Bias

SECONDS = 2.0
"""How long it takes, some hundredths more."""

MOST_STREAMS = 1000
"""More than one process serves honestly is not calibrated; a cell beyond it is told the bias at this."""

TTFT_S = 0.1
LEAST_ITL_S = 0.01
TOKENS_PER_S = 4000
"""Of all streams together: far below what the client can do, so that what is seen is no queue."""

SLICES = 4
"""At many streams half as many, so that each still has some tokens."""


@cache
def client_bias(streams: int) -> Bias | None:
    """The bias at so many streams; measured once in a process. None when a calibrating request failed.

    Taken in slices, and the least of each figure counts: what the client adds is in every slice, what
    disturbs the machine for a moment is not (and the monitor sees it where it matters).
    """
    streams = min(streams, MOST_STREAMS)
    itl_s = max(LEAST_ITL_S, streams / TOKENS_PER_S)
    slices = SLICES if itl_s < 0.1 else SLICES // 2
    tokens = max(5, round((SECONDS / slices - TTFT_S) / itl_s))
    try:
        with start_truth_server() as truth_server:
            truth_server.serve(Scenario(ttft_s=TTFT_S, itl_s=itl_s, tokens=tokens, role=False))
            return least([_slice(truth_server, streams, tokens) for _ in range(slices)])
    except (ValueError, OSError):
        return None


def _slice(truth_server: TruthServer, streams: int, tokens: int) -> Bias:
    asked = [
        Request(prompt_id=str(one), messages=({"role": "user", "content": str(one)},), max_tokens=tokens)
        for one in range(streams)
    ]
    result = drive(
        Endpoint(base_url=truth_server.url, model="reference"),
        asked,
        Closed(concurrency=streams),
        request_timeout_s=30,
        stall_timeout_s=30,
        seed=0,
    )
    truth = {record.prompt: record for record in truth_server.truth()}
    return bias_of(result.samples, [truth[request.prompt_id] for request in asked], streams=streams)
