"""Facts of the five tasks that the specification's rules need: prompts, gold, row minimums.

Wording of prompts, parsers and metrics live in ``ray_jobs.tasks``; nothing here touches text.
"""

from dataclasses import dataclass
from enum import StrEnum


class TaskName(StrEnum):
    """What the student shall learn to do."""

    NLI = "NLI"
    NLU_QA = "NLU_QA"
    MATH = "MATH"
    SUMMARIZATION = "SUMMARIZATION"
    CONVERSATION = "CONVERSATION"


class PromptVariant(StrEnum):
    """How the teacher is asked."""

    VANILLA = "Vanilla"
    CHAIN_OF_THOUGHT = "ChainOfThought"
    CHAIN_OF_DENSITY = "ChainOfDensity"


class Arm(StrEnum):
    """Where a student's training labels come from. ``Base`` is the untrained student: always
    evaluated, never listed."""

    BASE = "Base"
    VANILLA = "Vanilla"
    CHAIN_OF_THOUGHT = "ChainOfThought"
    CHAIN_OF_DENSITY = "ChainOfDensity"
    GOLD = "Gold"

    @property
    def variant(self) -> PromptVariant | None:
        """The prompt variant whose answers teach this arm; None for Base and Gold."""
        return None if self in (Arm.BASE, Arm.GOLD) else PromptVariant(self.value)


class TargetKind(StrEnum):
    """What of the teacher's answer the student is trained to say."""

    ANSWER_ONLY = "AnswerOnly"
    REASON_THEN_ANSWER = "ReasonThenAnswer"


@dataclass(frozen=True, kw_only=True)
class TaskFacts:
    """``primary_metric`` is a fraction and higher is better; ``needs_gold``: evaluation can't be
    done without ground truth on the test rows."""

    variants: tuple[PromptVariant, ...]
    primary_metric: str
    needs_gold: bool
    min_train_rows: int
    default_labels: tuple[str, ...]
    default_max_tokens: int


_REASONING = (PromptVariant.VANILLA, PromptVariant.CHAIN_OF_THOUGHT)

# Row minimums and token defaults: the product that accompanies the method (METHOD, Procedure 1).
TASK_FACTS: dict[TaskName, TaskFacts] = {
    TaskName.NLI: TaskFacts(
        variants=_REASONING,
        primary_metric="accuracy",
        needs_gold=True,
        min_train_rows=65,
        default_labels=("entailment", "contradiction", "neutral"),
        default_max_tokens=512,
    ),
    TaskName.NLU_QA: TaskFacts(
        variants=_REASONING,
        primary_metric="accuracy",
        needs_gold=True,
        min_train_rows=65,
        default_labels=("A", "B", "C", "D", "E"),
        default_max_tokens=512,
    ),
    TaskName.MATH: TaskFacts(
        variants=_REASONING,
        primary_metric="exact_match",
        needs_gold=True,
        min_train_rows=40,
        default_labels=(),
        default_max_tokens=512,
    ),
    TaskName.SUMMARIZATION: TaskFacts(
        variants=(PromptVariant.VANILLA, PromptVariant.CHAIN_OF_DENSITY),
        primary_metric="entity_density",
        needs_gold=False,
        min_train_rows=65,
        default_labels=(),
        default_max_tokens=1024,
    ),
    TaskName.CONVERSATION: TaskFacts(
        variants=(PromptVariant.VANILLA,),
        primary_metric="teacher_agreement",
        needs_gold=False,
        min_train_rows=65,
        default_labels=(),
        default_max_tokens=512,
    ),
}
