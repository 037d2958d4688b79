"""The chat form of the miniature: both system prompts, and what each makes a model reply.

The job file of the quick start (``manifests/samples/``) carries the two system prompts in
``spec.prompts``, word for word; the two starting models are trained on exactly these, so a
change here means new models. ``problems`` writes the questions, ``tokenizer`` the chat template.
"""

import json

from examples.miniature.problems import Problem

SYSTEM_VANILLA = "Number only."
SYSTEM_CHAIN_OF_THOUGHT = "Add step by step, reply in JSON."


def build_prompt(problem: Problem, *, system: str) -> list[dict[str, str]]:
    """The chat up to the reply: the system prompt, then the question as it stands."""
    return [
        {"role": "system", "content": system},
        {"role": "user", "content": problem.question},
    ]


def build_plain_chat(problem: Problem) -> list[dict[str, str]]:
    """The vanilla prompt and its reply, the bare sum."""
    reply = {"role": "assistant", "content": str(problem.answer)}
    return [*build_prompt(problem, system=SYSTEM_VANILLA), reply]


def build_reasoned_chat(problem: Problem) -> list[dict[str, str]]:
    """The chain-of-thought prompt and its reply, strict JSON with the sums written out."""
    fields = {"reason": problem.reason, "answer": str(problem.answer)}
    content = json.dumps(fields, separators=(",", ":"))
    reply = {"role": "assistant", "content": content}
    return [*build_prompt(problem, system=SYSTEM_CHAIN_OF_THOUGHT), reply]
