"""Any other server with OpenAI's API: only what that API promises. Source: OpenAI, API reference."""

from __future__ import annotations

from tokgate.engines.engine import Engine

ENGINE = Engine(name="openai", health="/v1/models")
