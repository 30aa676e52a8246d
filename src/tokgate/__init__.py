"""tokgate keeps LLM servers fast: a pytest plugin, and the measuring and judging under it."""

__version__ = "0.1.0"
