"""External text as it may be printed: control characters visible, no secrets, and no longer than a reader takes in.

Whatever is printed passes here: the message of every error, the command line, pytest's reports, tables, HTML and Markdown.
Only records keep texts as they were received.
"""

from __future__ import annotations

from tokgate._secrets import redact

MOST_CHARACTERS = 1000
"""Of one line: enough for a sentence with the command that helps. The name of a model may have 200,000."""

_TAIL = 200  # of these: the end of a message says what to do next


def escape_line(text: str) -> str:
    """`text` on one line, its control characters (also line breaks) visible, its middle left out if it is long."""
    return _escape(_shorten(redact(text)))


def escape_text(text: str) -> str:
    """`text` with its line breaks and tabs; each line as `escape_line` shows it."""
    return "\n".join("\t".join(map(_escape, _shorten(line).split("\t"))) for line in redact(text).split("\n"))


def _escape(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def _shorten(text: str) -> str:
    if len(text) <= MOST_CHARACTERS:
        return text
    return f"{text[: MOST_CHARACTERS - _TAIL]}… ({len(text):,} characters) …{text[-_TAIL:]}"
