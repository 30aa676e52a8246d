"""Bounds on what is read from servers, containers and files: how much, how deep, how long.

Each is far above anything that a working server or a person produces, and low enough that reading up to it takes seconds
and does not fill the memory. What exceeds one is reported as an error; docs/limits.md lists them.
"""

from __future__ import annotations

PAGE_BYTES = 4_000_000
"""Of a page: health, models, version, settings, counters. The largest usual ones, a list of some hundred models or the
counters of a busy vLLM, have a few hundred kB."""

PAGE_S = 10.0
"""For a page, from the connection to its last byte: a busy server may take longer to list its models than to say that it
is well."""

STREAM_BYTES, STREAM_BYTES_PER_TOKEN = 4_000_000, 16_000
"""Of a response: a constant, for what is not tokens, and a part for each token requested. A chunk has 200 to 400 bytes,
with usage and the probabilities of twenty other tokens about 3 kB."""

ARRIVAL_BYTES = 200
"""What one arrival counts as, besides its bytes: its timestamp and its buffer take memory, too."""

NESTING = 64
"""Levels of lists and mappings in YAML and in JSON without a declared form. Declared files have up to seven."""

YAML_BYTES, YAML_NODES = 4_000_000, 50_000
"""Of a YAML file, and its keys and values when all aliases are replaced. The largest are baselines, with some thousand."""

PROMPTS_BYTES = 500_000_000
"""Of a prompt set: a million prompts of usual length."""

RECORD_BYTES = 1_000_000_000
"""Of a run record: a night with thousands of long answers has some ten MB."""

IMPORT_BYTES = 200_000_000
"""Of a file to import: results of other tools have kB."""

IMPORT_SQL_S, IMPORT_SQL_BYTES = 20.0, 500_000_000
"""For the statements of an imported SQL file, and of the tables that they make."""

LOG_BYTES = 200_000_000
"""Of a container's log that is kept: at a usual rate more than a week."""

LOG_END_BYTES = 1_000_000
"""From each end of a log, of which the cause of a failure and the engine's settings are read: some 10,000 lines."""

LOG_LINE = 20_000
"""Characters of a line of a log that are looked at: the longest are vLLM's settings, with up to 8,000."""

OUTPUT_BYTES, OUTPUT_S = 4_000_000, 120.0
"""Of what a program in a container prints when it is asked for its options (vLLM: 150 kB), and how long that may take:
vLLM imports everything first."""


def limit_stream(tokens: int) -> int:
    """Bytes that the response to a request of this number of tokens may have."""
    return STREAM_BYTES + STREAM_BYTES_PER_TOKEN * tokens
