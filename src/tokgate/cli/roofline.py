"""`tokgate roofline`: the speed limits of a chip for a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from tokgate._exceptions import UsageError
from tokgate.cli.options import FIXTURES, Fixtures, catalogue
from tokgate.cli.output import echo

if TYPE_CHECKING:
    from tokgate.config.model_facts import ModelFacts, Quantisation


def roofline(
    model: Annotated[
        str, typer.Argument(help="A GGUF file, a config.json, or the name of a model in fixtures/models.")
    ],
    hardware: Annotated[str, typer.Option(help="The name of a chip in fixtures/hardware.")] = "gfx1151",
    quant: Annotated[
        str | None, typer.Option(help="FP16, AWQ or Q4_K_M; not for a GGUF file, which states its own.")
    ] = None,
    context: Annotated[
        int,
        typer.Option(min=0, help="Length of the context whose KV cache is read for each token, in tokens."),
    ] = 0,
    fixtures: Fixtures = FIXTURES,
) -> None:
    """Show the limits of decode (memory bandwidth) and prefill (arithmetic), on paper and as measured."""
    from rich.console import Console
    from rich.table import Table

    from tokgate.config.words import format_number, format_size
    from tokgate.measure.roofline import compute_roofline

    chip = catalogue(fixtures).hardware(hardware)
    facts = _facts(model, quant, fixtures)
    read = facts.bytes_per_token
    if context:
        if facts.kv_bytes_per_token is None:
            raise UsageError(f"--context: {model} does not state the size of its KV cache")
        read += context * facts.kv_bytes_per_token
    echo(
        f"{facts.name}, {facts.quantisation}: {format_number(facts.parameters / 1e9)} B parameters, "
        f"{format_size(read)} read for each token at a context of {context}"
    )
    table = Table(
        "limit",
        "GB/s",
        "FP16 TFLOPS",
        "decode tok/s",
        "prefill tok/s",
        "streams before compute-bound",
        box=None,
    )
    roof = compute_roofline(chip, bytes_per_token=read, parameters_per_token=facts.parameters_per_token, streams=1)
    assert roof is not None  # chip and bytes are known
    for name, ceiling in (("on paper", roof.paper), ("as measured", roof.measured)):
        rates = (ceiling.bandwidth_GBps, ceiling.fp16_tflops, ceiling.decode_tps, ceiling.prefill_tps)
        texts = ("unknown" if value is None else format_number(value) for value in (*rates, ceiling.streams))
        table.add_row(name, *texts)
    Console().print(table)


def _facts(model: str, quant: str | None, fixtures: Path) -> ModelFacts:
    from tokgate.config.explain import nearest
    from tokgate.config.model_facts import QUANTISATIONS, compute_config_facts, read_gguf_facts
    from tokgate.store.files import exists

    if model.endswith(".gguf"):
        if quant is not None:
            raise UsageError("--quant does not apply to a GGUF file, which states its quantization")
        return read_gguf_facts(Path(model))
    known = {path.stem: path for path in (fixtures / "models").glob("*.json")}
    path = known.get(model.lower(), Path(model))
    if not exists(path):
        raise UsageError(
            f"no such model: {model} is neither a file nor in {fixtures / 'models'}; {nearest(model, known)}"
        )
    if quant not in QUANTISATIONS:
        problem = f"--quant {quant}: unknown" if quant else "--quant is required"
        raise UsageError(f"{problem}; {nearest(quant, QUANTISATIONS)}")
    return compute_config_facts(path, cast("Quantisation", quant))
