"""Counters of a server, read from its page and subtracted."""

from __future__ import annotations

import socket

import pytest

from tokgate._exceptions import ServerUnreachable
from tokgate.drive.scrape import scrape, subtract, sum_samples

PAGE = """\
# HELP vllm:generation_tokens_total Number of generation tokens processed.
# TYPE vllm:generation_tokens_total counter
vllm:generation_tokens_total{engine="0",model_name="m"} 120.0
vllm:generation_tokens_total{engine="1",model_name="m"} 30.0
# HELP vllm:num_requests_running Requests in the batch.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0"} 2.0
# HELP vllm:time_to_first_token_seconds TTFT.
# TYPE vllm:time_to_first_token_seconds histogram
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.1"} 1.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="+Inf"} 3.0
vllm:time_to_first_token_seconds_sum{engine="0"} 0.75
vllm:time_to_first_token_seconds_count{engine="0"} 3.0
# HELP llamacpp:predicted_tokens_seconds Average throughput.
# TYPE llamacpp:predicted_tokens_seconds gauge
llamacpp:predicted_tokens_seconds nan
"""


def test_samples_are_sums_over_labels() -> None:
    """Without buckets, and without values that are not numbers."""
    assert sum_samples(PAGE) == {
        "vllm:generation_tokens_total": 150.0,
        "vllm:num_requests_running": 2.0,
        "vllm:time_to_first_token_seconds_sum": 0.75,
        "vllm:time_to_first_token_seconds_count": 3.0,
    }


def test_deltas_are_what_was_added() -> None:
    assert subtract({"a": 1.0}, {"a": 4.0, "b": 2.0}) == {"a": 3.0, "b": 2.0}


def test_a_page_of_something_else_is_an_error() -> None:
    with pytest.raises(ValueError, match="<html>"):
        sum_samples("<html> not a page of counters\n")


def test_no_server_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ServerUnreachable, match=f"{port}/metrics: connection refused"):
        scrape(f"http://127.0.0.1:{port}/metrics")
