"""Server-sent events in the raw bytes of a response, each with the offset at which it was complete.

The whole body is split after the clock has stopped, so the result cannot depend on how the bytes arrived; `stamp`
then finds the arrival that completed each event.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import accumulate

_LINE = re.compile(rb"([^\r\n]*)(\r\n|\n|\r|$)")
_BOM = b"\xef\xbb\xbf"


def split(body: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield (data, end) of each event: its data lines joined by newlines, and the offset at which it was complete.

    Comments, pings, fields other than `data` and events without data are skipped; lines may end in LF, CRLF or CR. A
    last event without its blank line is complete at the end of the body.
    Source: WHATWG HTML, section 9.2.6, except for that last event, which some engines send.
    """
    if b"\r" in body:
        yield from _by_line(body, 0)
        return
    start = len(_BOM) if body.startswith(_BOM) else 0
    while (end := body.find(b"\n\n", start)) >= 0:
        if body.startswith(b"data: ", start) and body.find(b"\n", start, end) < 0:
            yield body[start + 6 : end], end + 2
        else:
            yield from _by_line(body[start : end + 2], start)
        start = end + 2
    if start < len(body):
        yield from _by_line(body[start:], start)


def _by_line(text: bytes, offset: int) -> Iterator[tuple[bytes, int]]:
    """The general case: any kind of line; `text` starts at `offset` of the body."""
    data: list[bytes] = []
    position = len(_BOM) if offset == 0 and text.startswith(_BOM) else 0
    while position < len(text):
        match = _LINE.match(text, position)
        assert match is not None  # the pattern matches the empty line
        line, position = match[1], match.end()
        if line:
            name, _, value = line.partition(b":")
            if name == b"data":
                data.append(value.removeprefix(b" "))
        elif data:
            yield b"\n".join(data), offset + position
            data = []
    if data:
        yield b"\n".join(data), offset + len(text)


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
