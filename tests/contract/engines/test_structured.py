"""What vLLM answers when the answer's form is prescribed."""

import json

import pytest

from ray_jobs.engines.base import Constraint, FinishReason
from tests.contract.engines.conftest import QUESTIONS, Asker, greedy

pytestmark = pytest.mark.heavy

SCHEMA = {
    "type": "object",
    "properties": {"answer": {"enum": ["yes", "no"]}, "coins": {"enum": [5, 8]}},
    "required": ["answer", "coins"],
    "additionalProperties": False,
}


def test_an_answer_is_one_of_the_choices(vllm: Asker) -> None:
    labels = ("entailment", "neutral", "contradiction")
    requests = [
        vllm.request(question, constraint=Constraint(choices=labels)) for question in QUESTIONS
    ]
    for answer in vllm.answer(*requests):
        assert answer.text in labels
        assert answer.finish_reason == FinishReason.STOP


def test_an_answer_keeps_to_the_json_schema(vllm: Asker) -> None:
    requests = [
        vllm.request(question, sampling=greedy(200), constraint=Constraint(json_schema=SCHEMA))
        for question in QUESTIONS
    ]
    ended = [each for each in vllm.answer(*requests) if each.finish_reason == FinishReason.STOP]
    assert ended
    for answer in ended:
        document = json.loads(answer.text)
        assert set(document) == {"answer", "coins"}
        assert document["answer"] in ("yes", "no")


def test_constrained_and_free_requests_share_the_engine(vllm: Asker) -> None:
    (want,) = vllm.answer(vllm.request())
    free, bound = vllm.answer(vllm.request(), vllm.request(constraint=Constraint(choices=("no",))))
    assert free.text == want.text
    assert bound.text == "no"


def test_a_schema_that_is_none_ends_as_an_error(vllm: Asker) -> None:
    constraint = Constraint(json_schema={"type": "nonsense"})
    (answer,) = vllm.answer(vllm.request(constraint=constraint))
    assert answer.finish_reason == FinishReason.ERROR
    assert answer.error.startswith("request: the engine refuses it, got VLLMValidationError")
