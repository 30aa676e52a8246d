"""Server-sent events in the raw bytes of a response, each with the offset at which it was complete.

The whole body is split after the clock has stopped, so the result cannot depend on how the bytes arrived; `stamp`
then finds the arrival that completed each event.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

_BOM = b"\xef\xbb\xbf"


def split(body: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield (data, end) of each event: its data lines joined by newlines, and the offset at which it was complete.

    Comments, pings, fields other than `data` and events without data are skipped; lines may end in LF, CRLF or CR. A
    last event without its blank line is complete at the end of the body.
    Source: WHATWG HTML, section 9.2.6, except for that last event, which some engines send.
    """
    data: list[bytes] = []
    end = len(_BOM) if body.startswith(_BOM) else 0
    for line in [*body[end:].splitlines(keepends=True), b""]:
        end += len(line)
        if text := line.rstrip(b"\r\n"):
            name, _, value = text.partition(b":")
            if name == b"data":
                data.append(value.removeprefix(b" "))
        elif data:
            yield b"\n".join(data), end
            data = []


def stamp(ends: Sequence[int], times_s: Sequence[float], sizes: Sequence[int]) -> list[float]:
    """For each of the rising offsets `ends`, the time of the arrival with the byte before it.

    times_s, sizes: one entry for each arrival, in order; the sizes add up to at least the last offset.
    """
    arrivals = zip(times_s, accumulate(sizes), strict=True)
    stamps: list[float] = []
    time_s, reached = 0.0, 0
    for end in ends:
        while reached < end:
            time_s, reached = next(arrivals)
        stamps.append(time_s)
    return stamps
