"""Server-sent events: the same events from the same bytes, however they are spelt or cut."""

from __future__ import annotations

from itertools import accumulate, pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tokgate.drive.sse import split, stamp


@pytest.mark.parametrize(
    ("body", "events"),
    [
        (b"", []),
        (b"data: a\n\n", [(b"a", 9)]),
        (b"data: a\n\ndata: b\n\n", [(b"a", 9), (b"b", 18)]),
        (b"data:a\n\n", [(b"a", 8)]),
        (b"data:  a\n\n", [(b" a", 10)]),
        (b"data: a\ndata: b\n\n", [(b"a\nb", 17)]),
        (b": ping\n\ndata: a\n\n", [(b"a", 17)]),
        (b"event: x\nid: 7\ndata: a\nretry: 9\n\n", [(b"a", 33)]),
        (b"\n\n\n\ndata: a\n\n\n\n", [(b"a", 13)]),
        (b"data: a\r\n\r\n", [(b"a", 11)]),
        (b"data: a\r\rdata: b\r\n\n", [(b"a", 9), (b"b", 19)]),
        (b"\xef\xbb\xbfdata: a\n\n", [(b"a", 12)]),
        (b"\xef\xbb\xbfdata: a\r\n\r\n", [(b"a", 14)]),
        (b"data: [DONE]", [(b"[DONE]", 12)]),
        (b"data: [DONE]\n", [(b"[DONE]", 13)]),
        (b"event: nothing\n\n", []),
        (b"data\n\n", [(b"", 6)]),
        (b"database: a\n\n", []),
    ],
)
def test_events_and_their_offsets(body: bytes, events: list[tuple[bytes, int]]) -> None:
    """Each event has the offset at which it is complete."""
    assert list(split(body)) == events


LINES = st.sampled_from([b": ping", b"event: x", b"id: 3", b"data: a", b"data:b", b'data: {"t":"\xc3\xa9"}', b""])
NEWLINES = st.sampled_from([b"\n", b"\r\n"])


def reference_split(body: bytes) -> list[bytes]:
    """The rules once more, as plainly as can be: line by line."""
    events, data = [], []
    for line in [*body.replace(b"\r\n", b"\n").split(b"\n"), b""]:
        if line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
        elif not line and data:
            events.append(b"\n".join(data))
            data = []
    return events


@given(lines=st.lists(LINES), newline=NEWLINES)
def test_fast_and_general_case_agree(lines: list[bytes], newline: bytes) -> None:
    body = b"".join(line + newline for line in lines)
    assert [data for data, _ in split(body)] == reference_split(body)


@given(body=st.lists(LINES).map(lambda lines: b"\n".join([*lines, b"", b""])), cuts=st.lists(st.integers(0, 200)))
@example(body=b"data: a\n\ndata: b\n\n", cuts=[1, 2, 3, 8, 9, 10, 17])
def test_cuts_do_not_change_events(body: bytes, cuts: list[int]) -> None:
    """However the bytes arrive, the events are the same, at the arrival that completed them."""
    edges = sorted({0, len(body), *(min(cut, len(body)) for cut in cuts)})
    pieces = [body[start:end] for start, end in pairwise(edges)]
    times_s = [float(number) for number in range(1, len(pieces) + 1)]
    events = list(split(b"".join(pieces)))
    assert events == list(split(body))

    stamps = stamp([end for _, end in events], times_s, [len(piece) for piece in pieces])
    reached = list(accumulate(map(len, pieces)))
    for (_, end), time_s in zip(events, stamps, strict=True):
        arrival = int(time_s) - 1
        assert reached[arrival] >= end
        assert arrival == 0 or reached[arrival - 1] < end
