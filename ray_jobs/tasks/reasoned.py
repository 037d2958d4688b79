"""Chain of thought, shared by NLI, NLU_QA and MATH: the JSON form, and single-answer metrics."""

from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from distillery.errors import InvariantError
from distillery.tasks import PromptVariant
from ray_jobs.engines.base import Constraint
from ray_jobs.records import GoldRow, PredictionRow, PromptRow, RowStatus
from ray_jobs.tasks.base import Parsed, Scored
from ray_jobs.tasks.parsing import ANSWER, REASON
from ray_jobs.tasks.row_metrics import mean_scores
from ray_jobs.tasks.single_turn import (
    MAX_REASON_CHARS_PER_WORD,
    SingleTurnTask,
    check_variant,
)


class ReasonedTask(SingleTurnTask):
    """A task with one right answer a row, which the teacher may reason about first."""

    def constraint(self, row: PromptRow, variant: PromptVariant) -> Constraint | None:
        """The form an answer can be forced into."""
        if variant is PromptVariant.VANILLA:
            return self._vanilla_constraint(row)
        check_variant(self.name, variant)
        max_chars = MAX_REASON_CHARS_PER_WORD * self._options.prompts.max_reason_words
        schema = {
            "type": "object",
            "properties": {
                REASON: {"type": "string", "maxLength": max_chars},
                ANSWER: self._answer_schema(row),
            },
            "required": [REASON, ANSWER],
            "additionalProperties": False,
        }
        return Constraint(json_schema=schema)

    def score(
        self, parsed: Parsed, row: PromptRow, gold: GoldRow | None, reference: str = ""
    ) -> Scored:
        """1 for a right answer, else 0. Raises ``InvariantError`` where there is no gold."""
        if gold is None:
            raise InvariantError(f"{row.row_id}: {self.name} can't be scored without gold")
        is_right = parsed.status is RowStatus.OK and parsed.answer in (gold.gold, *gold.accepted)
        return Scored(parsed=parsed, scores={self.primary_metric: float(is_right)})

    def summarise(
        self, predictions: Sequence[PredictionRow], gold: Mapping[str, GoldRow]
    ) -> dict[str, float]:
        """The primary metric over all rows and over parsable ones, and ``unparsable_rate``."""
        return mean_scores(predictions, also_parsable=(self.primary_metric,))

    def constant_answer(self, gold: Sequence[GoldRow]) -> str | None:
        """The answer that is right most often; the first in alphabetical order of equals."""
        counts = Counter(answer for row in gold for answer in {row.gold, *row.accepted})
        return min(counts, key=lambda answer: (-counts[answer], answer), default=None)

    def _own_advanced(self) -> str:
        return self._options.prompts.chain_of_thought

    def _read_advanced(self, text: str, row: PromptRow) -> Parsed:
        return self._read_reasoned(text, row)

    @abstractmethod
    def _vanilla_constraint(self, row: PromptRow) -> Constraint | None:
        """What the bare answer can be forced into."""

    @abstractmethod
    def _answer_schema(self, row: PromptRow) -> dict[str, Any]:
        """The JSON schema of the value of ``answer``."""
