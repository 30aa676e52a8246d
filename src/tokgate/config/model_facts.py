"""ModelFacts: what the roofline must know about a model, from the header of a GGUF file or a config.json."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from tokgate._exceptions import SpecError
from tokgate.config.bounds import PAGE_BYTES
from tokgate.config.gguf import Scalar, read_gguf
from tokgate.config.reading import decode_json, read_file

Quantisation = Literal["FP16", "AWQ", "Q4_K_M"]
QUANTISATIONS: tuple[str, ...] = get_args(Quantisation)

_KV_BYTES = 2  # engines keep the KV cache in 16 bits by default

# Bits of one weight: llama.cpp's K-quants hold 256 weights in 144 and 210 bytes; AWQ holds 128 weights of
# 4 bits with one FP16 scale and one zero of 4 bits.
_Q4_K, _Q6_K, _AWQ, _FP16 = 4.5, 6.5625, 4 + 20 / 128, 16.0


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The size of a model.

    parameters: number of all weights.
    parameters_per_token: number of weights multiplied for one decoded token: all but the input embedding.
    bytes_per_token: bytes of these weights.
    kv_bytes_per_token: bytes of KV cache for one token of context; None where the file does not say.
    """

    name: str
    quantisation: str
    parameters: int
    parameters_per_token: int
    bytes_per_token: float
    kv_bytes_per_token: int | None


Count = Annotated[int, Meta(ge=1, le=10_000_000)]
"""Of layers, heads, tokens in the vocabulary, ...: the largest vocabularies have a million tokens."""


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of a config.json that determine the size of a dense decoder; others are ignored."""

    model_type: str
    hidden_size: Count
    intermediate_size: Count
    num_hidden_layers: Count
    num_attention_heads: Count
    vocab_size: Count
    num_key_value_heads: Count | None = None
    head_dim: Count | None = None
    tie_word_embeddings: bool = False
    num_experts: int | None = None
    num_local_experts: int | None = None

    @property
    def kv_width(self) -> int:
        """Length of one layer's key (or value) vector of one token, all heads."""
        return self.head_width * (self.num_key_value_heads or self.num_attention_heads)

    @property
    def head_width(self) -> int:
        """Length of one head's vector."""
        return self.head_dim or self.hidden_size // self.num_attention_heads


def read_gguf_facts(path: Path) -> ModelFacts:
    """The exact facts, from the sizes of the file's tensors. Raises SpecError."""
    header = read_gguf(path)
    meta, tensors = header.metadata, header.tensors
    arch = str(meta.get("general.architecture", ""))
    if meta.get(f"{arch}.expert_count"):
        raise _mixture(path)
    if (_read_count(meta, "split.count") or 1) > 1:
        raise SpecError("is one part of a split model; merge the parts first (llama-gguf-split --merge)", file=path)
    # Without an output layer, the embedding is multiplied in its place and therefore read.
    unread = "token_embd.weight" if "output.weight" in tensors else None
    read = [tensor for name, tensor in tensors.items() if name != unread]
    layers, heads, kv_heads, width = (
        _read_count(meta, f"{arch}.{key}")
        for key in ("block_count", "attention.head_count", "attention.head_count_kv", "embedding_length")
    )
    kv = None
    if layers and heads and width:
        head = _read_count(meta, f"{arch}.attention.key_length") or width // heads
        kv = 2 * layers * (kv_heads or heads) * head * _KV_BYTES
    return ModelFacts(
        name=str(meta.get("general.name", path.stem)),
        quantisation="as in the file",
        parameters=sum(tensor.elements for tensor in tensors.values()),
        parameters_per_token=sum(tensor.elements for tensor in read),
        bytes_per_token=sum(tensor.size for tensor in read),
        kv_bytes_per_token=kv,
    )


def _read_count(metadata: Mapping[str, Scalar], key: str) -> int | None:
    """A whole number above 0; None where the file states none."""
    value = metadata.get(key)
    return value if isinstance(value, int) and value > 0 else None


def compute_config_facts(path: Path, quantisation: Quantisation) -> ModelFacts:
    """Compute the facts of a dense decoder with a gated MLP, as Llama has; norms and biases, below 0.01 %, are left out.

    Raises SpecError.
    """
    try:
        config = decode_json(read_file(path, PAGE_BYTES), Config)
    except OSError as error:
        raise SpecError(f"cannot be read: {error.strerror or error}", file=path) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SpecError(f"is not the config.json of a dense decoder: {error}", file=path) from error
    if config.num_experts or config.num_local_experts:
        raise _mixture(path)
    layers, embedding = config.num_hidden_layers, config.vocab_size * config.hidden_size
    value = config.hidden_size * config.kv_width
    attention = 2 * config.hidden_size * config.head_width * config.num_attention_heads + value
    down = config.hidden_size * config.intermediate_size
    body = layers * (attention + value + 3 * down)
    # Q4_K_M is Q4_K, but Q6_K for the output layer and, in half of the layers, for the value and down projections.
    wide = sum(i < layers // 8 or i >= 7 * layers // 8 or (i - layers // 8) % 3 == 2 for i in range(layers))
    six = wide * (value + down)
    bits = {
        "FP16": (body + embedding) * _FP16,
        "AWQ": body * _AWQ + embedding * _FP16,
        "Q4_K_M": six * _Q6_K + (body - six) * _Q4_K + embedding * _Q6_K,
    }[quantisation]
    return ModelFacts(
        name=path.parent.name if path.name == "config.json" else path.stem,
        quantisation=quantisation,
        parameters=body + embedding * (1 if config.tie_word_embeddings else 2),
        parameters_per_token=body + embedding,
        bytes_per_token=bits / 8,
        kv_bytes_per_token=2 * layers * config.kv_width * _KV_BYTES,
    )


def _mixture(path: Path) -> SpecError:
    return SpecError(
        "is a mixture-of-experts model: the weights read depend on the token, so no bound can be computed",
        file=path,
    )
