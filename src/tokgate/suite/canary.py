"""The canary questions, asked of a live server once a launch and outside any timed region."""

from __future__ import annotations

from tokgate import engines
from tokgate.config.workload import Closed, PromptSet
from tokgate.drive.client import Endpoint, Request
from tokgate.drive.load import drive
from tokgate.launch.server import Server
from tokgate.measure.measurement import Answers

TOKENS = 32
"""Asked of each answer at most: enough to see garbage, some seconds on a slow machine."""


def ask_canary(server: Server, prompts: PromptSet) -> Answers:
    """Greedy answers, one question after the other; the text of one that failed is its error."""
    facts = server.facts
    engine = engines.find(facts.engine)
    result = drive(
        Endpoint(
            base_url=facts.base_url,
            model=facts.model,
            engine=engine,
            body=engine.canary_body(server.spec.request),
        ),
        [Request(prompt_id=prompt.id, messages=prompt.messages, max_tokens=TOKENS) for prompt in prompts.prompts],
        Closed(),
        request_timeout_s=120,
        stall_timeout_s=60,
        seed=0,
    )
    texts = {sample.prompt_id: sample.error or sample.text for sample in result.samples}
    return Answers(model=facts.model, engine=facts.engine, prompts_sha256=prompts.sha256, texts=texts)
