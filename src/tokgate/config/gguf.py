"""The header of a GGUF file: its scalar metadata and the size of each tensor. Weights are not read.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3, little-endian).
"""

from __future__ import annotations

import math
import struct
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import msgspec

from tokgate._exceptions import SpecError

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_DEFAULT_ALIGNMENT = 32  # bytes, by the format
_MOST_DIMENSIONS = 4  # of a tensor, by the format

_MOST_STRING = 2**24  # bytes: chat templates and licenses have a few kB

Scalar = int | float | bool | str


class Tensor(msgspec.Struct, frozen=True):
    """One tensor.

    elements: number of weights.
    size: bytes in the file, including the padding up to the next tensor.
    """

    elements: int
    size: int


class Gguf(msgspec.Struct, frozen=True):
    """The header.

    metadata: value by key, without arrays.
    tensors: tensor by name.
    """

    metadata: dict[str, Scalar]
    tensors: dict[str, Tensor]


def read_gguf(path: Path) -> Gguf:
    """The header of the file at `path`. Raises SpecError: unreadable, not a GGUF file, or truncated."""
    try:
        with path.open("rb") as file:
            return _read(file, path)
    except OSError as error:
        raise SpecError(f"cannot be read: {error.strerror or error}", file=path) from error
    except (struct.error, UnicodeDecodeError, KeyError, ValueError, OverflowError) as error:
        raise SpecError(f"its GGUF header is truncated or corrupt ({error})", file=path) from error


def _read(file: BinaryIO, path: Path) -> Gguf:
    if file.read(4) != b"GGUF":
        raise SpecError("is not a GGUF file: it does not start with `GGUF`", file=path)
    version = _number(file, "I")
    if version not in (2, 3):
        raise SpecError(f"has GGUF version {version}; expected 2 or 3", file=path)
    tensor_count, key_count = _number(file, "Q"), _number(file, "Q")
    metadata: dict[str, Scalar] = {}
    for _ in range(key_count):
        key = _string(file)
        value = _value(file, _number(file, "I"))
        if value is not None:
            metadata[key] = value
    elements, offsets = {}, {}
    for _ in range(tensor_count):
        name = _string(file)
        if (dimensions := _number(file, "I")) > _MOST_DIMENSIONS:
            raise ValueError(f"a tensor has {dimensions} dimensions")
        elements[name] = math.prod(_number(file, "Q") for _ in range(dimensions))
        _number(file, "I")  # its type: the size follows from the offsets
        offsets[name] = _number(file, "Q")
    alignment = metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 1:
        raise ValueError(f"general.alignment is {alignment!r}")
    data = -(-file.tell() // alignment) * alignment
    in_order = sorted(offsets, key=lambda name: offsets[name])
    ends = [*(offsets[name] for name in in_order), path.stat().st_size - data]
    sizes = {name: end - start for name, (start, end) in zip(in_order, pairwise(ends), strict=True)}
    if any(size <= 0 for size in sizes.values()):
        raise SpecError("is truncated: its header lists more weights than the file contains", file=path)
    return Gguf(metadata, {name: Tensor(elements[name], sizes[name]) for name in offsets})


def _value(file: BinaryIO, kind: int) -> Scalar | None:
    """The next value; None for an array, which is skipped."""
    if kind == _STRING:
        return _string(file)
    if kind != _ARRAY:
        return _number(file, _SCALARS[kind])
    of, count = _number(file, "I"), _number(file, "Q")
    if of not in (*_SCALARS, _STRING, _ARRAY):
        raise ValueError(f"an array of an unknown type, {of}")
    if of in _SCALARS:
        file.seek(count * struct.calcsize(_SCALARS[of]), 1)
        return None
    if of == _ARRAY:
        raise ValueError("an array of arrays")
    for _ in range(count):
        _string(file)
    return None


def _string(file: BinaryIO) -> str:
    length = _number(file, "Q")
    if length > _MOST_STRING:
        raise ValueError(f"a string of {length} bytes")
    raw = file.read(length)
    if len(raw) != length:
        raise struct.error(f"expected a string of {length} bytes, got {len(raw)}")
    return raw.decode()


def _number(file: BinaryIO, form: str) -> int:
    return struct.unpack(f"<{form}", file.read(struct.calcsize(form)))[0]  # type: ignore[no-any-return]
