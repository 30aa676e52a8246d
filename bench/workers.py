"""The two clients of `client.py` that have no command of their own: tokgate, and the OpenAI SDK as in its README.

workers.py tokgate|sdk URL STREAMS REQUESTS TOKENS      prints ttft_ms=MEDIAN tpot_ms=MEDIAN
"""

from __future__ import annotations

import asyncio
import sys
import time
from math import nan
from statistics import median

PROMPT = "count to one thousand"


def tokgate(url: str, streams: int, requests: int, tokens: int) -> tuple[float, float]:
    """Median TTFT and time per token after the first, in seconds, as tokgate measures them."""
    from tokgate.config.workload import Closed
    from tokgate.drive.client import Endpoint, Request
    from tokgate.drive.load import drive
    from tokgate.measure.metrics import tpot_s, ttft_s

    request = Request(prompt_id="p", messages=({"role": "user", "content": PROMPT},), max_tokens=tokens)
    result = drive(
        Endpoint(base_url=url, model="reference"),
        [request] * requests,
        Closed(concurrency=streams),
        request_timeout_s=600,
        stall_timeout_s=600,
        seed=1,
    )
    errors = {sample.error for sample in result.samples}
    if errors != {None}:
        raise RuntimeError(f"requests failed: {errors}")
    firsts = [ttft_s(sample) or nan for sample in result.samples]
    return median(firsts), median(tpot_s(sample) or nan for sample in result.samples)


def sdk(url: str, streams: int, requests: int, tokens: int) -> tuple[float, float]:
    """The same with `async for chunk in stream`, timed around the call."""
    from openai import AsyncOpenAI

    firsts: list[float] = []
    gaps: list[float] = []

    async def user(client: AsyncOpenAI, queue: list[int]) -> None:
        while queue:
            queue.pop()
            begun, first, last, chunks = time.perf_counter(), 0.0, 0.0, 0
            stream = await client.chat.completions.create(
                model="reference",
                messages=[{"role": "user", "content": PROMPT}],
                max_tokens=tokens,
                stream=True,
                stream_options={"include_usage": True},
            )
            async for chunk in stream:
                if chunk.choices and chunk.choices[0].delta.content:
                    last = time.perf_counter()
                    first = first or last
                    chunks += 1
            firsts.append(first - begun)
            gaps.append((last - first) / (chunks - 1) if chunks > 1 else nan)

    async def main() -> None:
        async with AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=600) as client:
            queue = list(range(requests))
            await asyncio.gather(*(user(client, queue) for _ in range(streams)))

    asyncio.run(main())
    return median(firsts), median(gaps)


if __name__ == "__main__":
    _, name, url, *numbers = sys.argv
    ttft, tpot = {"tokgate": tokgate, "sdk": sdk}[name](url, *map(int, numbers))
    print(f"ttft_ms={ttft * 1e3} tpot_ms={tpot * 1e3}")
