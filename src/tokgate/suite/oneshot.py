"""One measurement of a server somebody else started, for `tokgate measure`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from msgspec.structs import replace

from tokgate.config.workload import PromptSet, Workload
from tokgate.launch.start import start
from tokgate.measure.canary import check_timed_answers
from tokgate.measure.measurement import Answers, Measurement
from tokgate.suite.case import measure_case
from tokgate.suite.instruments import Instruments
from tokgate.suite.passes import Watch
from tokgate.suite.plan import Case, make_attached_spec


def measure_url(url: str, model: str, workload: Workload, prompts: PromptSet, *, watch: Watch) -> Measurement:
    """Warm up, drive, measure and validate; the timed answers are checked as the canaries.

    Raises LaunchError, ServerUnreachable: there is no such server.
    """
    spec = make_attached_spec(url, model)
    with tempfile.TemporaryDirectory() as logs, start(spec, log_dir=Path(logs)) as server:
        case = Case(server=spec, workload=workload, prompts=prompts)
        result = measure_case(server, case, Instruments(), launch=1, watch=watch)
    texts = {f"request {sample.index}": sample.text for sample in result.samples if sample.error is None}
    if not texts:
        return result
    answers = Answers(model=model, engine=result.facts.engine, prompts_sha256=prompts.sha256, texts=texts)
    canary, garbage = check_timed_answers(answers)
    problems = (*result.problems, *garbage)
    return replace(result, canary=canary, problems=problems, valid=not problems)
