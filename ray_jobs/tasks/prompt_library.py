"""All words the tasks put to a model, versioned and hashed, in our own wording.

A placeholder in braces is filled in for each row or job; braces around anything else stand for
themselves. User-supplied prompts (``spec.prompts``) take the place of entries here, in
``single_turn.py``. No parser lives here, but the forms asked for are those ``parsing.py`` reads.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from distillery.errors import SpecError
from distillery.manifests import canonical_json, sha256_hex
from distillery.spec.dataset import PromptsSpec
from distillery.tasks import TaskName

LIBRARY_VERSION = 1
"""Raised with every change of a word below."""

LABELS_SUFFIX = "Allowed answers: {labels}"
"""Added to the user turn of a teacher prompt in which the labels stand nowhere."""

PLACEHOLDERS = ("user", "premise", "hypothesis", "question", "choices", "labels")
"""What a user template may name."""

_PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*)\}")

_REASON_FORM = (
    "Work through it step by step, in at most {max_reason_words} words, and only then decide. "
    'Reply with one JSON object and nothing around it: {"reason": "<your steps>", '
    '"answer": "<%s>"}'
)


@dataclass(frozen=True, kw_only=True)
class Words:
    """A task's templates. ``system`` and ``user`` are the vanilla prompt from columns; ``advanced``
    is the system message that replaces ``system`` when the teacher reasons (empty: there is none).
    """

    system: str
    user: str
    advanced: str = ""


_NLI_DEFINITIONS = (
    "Decide how the hypothesis relates to the premise. Answer 'entailment' if the hypothesis must "
    "be true whenever the premise is, 'contradiction' if it cannot be true when the premise is, "
    "and 'neutral' if the premise leaves it open.\n\n"
)

LIBRARY: dict[TaskName, Words] = {
    TaskName.NLI: Words(
        system="Reply with exactly one of these labels and nothing else: {labels}.",
        user=_NLI_DEFINITIONS + "Premise: {premise}\nHypothesis: {hypothesis}",
        advanced="You judge whether a hypothesis follows from a premise. "
        + _REASON_FORM % "one of the allowed labels",
    ),
    TaskName.NLU_QA: Words(
        system="Reply with the letter of the right choice and nothing else: {labels}.",
        user="Choose the best answer to the question.\n\nQuestion: {question}\nChoices:\n{choices}",
        advanced="You answer multiple-choice questions. "
        + _REASON_FORM % "the letter of the right choice",
    ),
    TaskName.MATH: Words(
        system="Reply with the number that answers the question and nothing else: no unit, no "
        "working, no sentence. Write a minus sign before a negative number.",
        user="Question: {user}",
        advanced="You solve word problems. " + _REASON_FORM % "the number alone, without a unit",
    ),
    TaskName.SUMMARIZATION: Words(
        system="Summarise the article densely, naming its main entities, in at most "
        "{max_summary_words} words. Reply with the summary alone.",
        user="Article: {user}",
        advanced="You make a summary of the article denser in {density_rounds} rounds. Round 1 is "
        "a first summary of at most {max_summary_words} words. In each round name one to three "
        "entities that the summary so far lacks: relevant to the main story, specific, novel, "
        "faithful to the article, from anywhere in it. Then write the summary again at the same "
        "length, so that it covers those entities and all earlier ones: compress and merge, never "
        "drop one. Reply with a JSON list of exactly {density_rounds} objects and nothing around "
        'it: [{"missing_entities": ["<entity>"], "denser_summary": "<summary>"}]',
    ),
    TaskName.CONVERSATION: Words(system="", user=""),
}

_NLI_OTHER_LABELS = (
    "Decide how the hypothesis relates to the premise. Answer with one of these labels: {labels}."
    "\n\nPremise: {premise}\nHypothesis: {hypothesis}"
)


def nli_user_template(*, has_own_labels: bool) -> str:
    """The NLI user template: with definitions only where the labels are the usual three."""
    return _NLI_OTHER_LABELS if has_own_labels else LIBRARY[TaskName.NLI].user


def fill(template: str, values: Mapping[str, str]) -> str:
    """``template`` with each ``{name}`` that ``values`` knows filled in; all else verbatim."""
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), template)


def check_user_template(template: str) -> None:
    """Raises ``SpecError`` where a user template names an unknown column, or none at all."""
    names = _PLACEHOLDER.findall(template)
    allowed = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
    for name in names:
        if name not in PLACEHOLDERS:
            shown = name if len(name) <= 40 else f"{name[:40]}..."
            raise SpecError(f"spec.prompts.user: unknown column, got {{{shown}}}; use {allowed}")
    if not names:
        raise SpecError(f"spec.prompts.user: names no column, got fixed text; use {allowed}")


def prompt_settings(prompts: PromptsSpec) -> dict[str, str]:
    """The numbers that the library's templates mention, as text by placeholder."""
    return {
        "max_reason_words": str(prompts.max_reason_words),
        "max_summary_words": str(prompts.max_summary_words),
        "density_rounds": str(prompts.density_rounds),
    }


def hash_words(task: TaskName, words: Words, labels: tuple[str, ...], prompts: PromptsSpec) -> str:
    """SHA-256 over everything that decides a task's prompts for given rows."""
    document = {
        "version": LIBRARY_VERSION,
        "task": task.value,
        "system": words.system,
        "user": words.user,
        "advanced": words.advanced,
        "labels_suffix": LABELS_SUFFIX,
        "labels": list(labels),
        "prompts": prompts.dump(),
    }
    return sha256_hex(canonical_json(document))
