"""The two clients of `client.py` that are ours to write: tokgate, and the OpenAI SDK as its README shows it.

workers.py tokgate|sdk URL STREAMS REQUESTS TOKENS      prints ttft_ms=MEDIAN
"""

from __future__ import annotations

import asyncio
import sys
import time
from statistics import median

PROMPT = "count to one thousand"


def tokgate(url: str, streams: int, requests: int, tokens: int) -> float:
    """Median TTFT in seconds, as tokgate measures it."""
    from tokgate.drive.client import Request, Target
    from tokgate.drive.load import drive
    from tokgate.spec.workload import Closed

    request = Request(prompt_id="p", messages=({"role": "user", "content": PROMPT},), max_tokens=tokens)
    result = drive(
        Target(base_url=url, model="reference", engine="openai"),
        [request] * requests,
        Closed(concurrency=streams),
        request_timeout_s=600,
        stall_timeout_s=600,
        seed=1,
    )
    errors = {sample.error for sample in result.samples}
    if errors != {None}:
        raise RuntimeError(f"requests failed: {errors}")
    return median(sample.token_times_s[0] - sample.sent_s for sample in result.samples)


def sdk(url: str, streams: int, requests: int, tokens: int) -> float:
    """Median TTFT in seconds of `async for chunk in stream`, timed around the call."""
    from openai import AsyncOpenAI

    times: list[float] = []

    async def user(client: AsyncOpenAI, queue: list[int]) -> None:
        while queue:
            queue.pop()
            begun, first = time.perf_counter(), None
            stream = await client.chat.completions.create(
                model="reference",
                messages=[{"role": "user", "content": PROMPT}],
                max_tokens=tokens,
                stream=True,
                stream_options={"include_usage": True},
            )
            async for chunk in stream:
                if first is None and chunk.choices and chunk.choices[0].delta.content:
                    first = time.perf_counter()
            assert first is not None
            times.append(first - begun)

    async def main() -> None:
        async with AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=600) as client:
            queue = list(range(requests))
            await asyncio.gather(*(user(client, queue) for _ in range(streams)))

    asyncio.run(main())
    return median(times)


if __name__ == "__main__":
    _, name, url, *numbers = sys.argv
    ttft_s = {"tokgate": tokgate, "sdk": sdk}[name](url, *map(int, numbers))
    print(f"ttft_ms={ttft_s * 1e3}")
