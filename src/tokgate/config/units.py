"""Sizes and times as people write them in YAML: `16GiB`, `64MB`, `30s`, `1m30s`."""

from __future__ import annotations

import math
import re

_SIZE_UNITS = {
    "B": 1,
    **{f"{prefix}B": 1000**power for power, prefix in enumerate("kMGT", start=1)},
    **{f"{prefix}iB": 1024**power for power, prefix in enumerate("KMGT", start=1)},
}
_TIME_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)")
_TIME = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhd]))+")
_TIME_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])")


class Size(int):
    """A number of bytes, written with a unit: `16GiB` is 16 x 1024^3, `16GB` is 16 x 1000^3."""

    @classmethod
    def parse(cls, text: object) -> Size:
        """Bytes of `text`. Raises ValueError with the accepted form."""
        match = _SIZE.fullmatch(text.strip()) if isinstance(text, str) else None
        if match is None or match[2] not in _SIZE_UNITS or not math.isfinite(float(match[1]) * _SIZE_UNITS[match[2]]):
            docker = f"; Docker's {text} is {text}iB" if match and f"{match[2]}iB" in _SIZE_UNITS else ""
            raise ValueError(
                f"expected a size with a unit, such as 16GiB or 64MB ({', '.join(_SIZE_UNITS)}), got {text!r}{docker}"
            )
        return cls(round(float(match[1]) * _SIZE_UNITS[match[2]]))

    def __str__(self) -> str:
        for unit in ("TiB", "GiB", "MiB", "KiB", "TB", "GB", "MB", "kB"):
            if self and self % _SIZE_UNITS[unit] == 0:
                return f"{self // _SIZE_UNITS[unit]}{unit}"
        return f"{int(self)}B"


class Duration(float):
    """A number of seconds, written with a unit: `500ms`, `30s`, `1m30s`, `2h`, `30d`."""

    @classmethod
    def parse(cls, text: object) -> Duration:
        """Seconds of `text`. Raises ValueError with the accepted form."""
        seconds = math.nan
        if isinstance(text, str) and _TIME.fullmatch(text.strip()) is not None:
            seconds = sum(float(number) * _TIME_UNITS[unit] for number, unit in _TIME_PART.findall(text))
        if not math.isfinite(seconds):
            raise ValueError(
                f"expected a time with a unit, such as 30s or 1m30s ({', '.join(_TIME_UNITS)}), got {text!r}"
            )
        return cls(seconds)

    def __str__(self) -> str:
        return f"{float(self):g}s"
