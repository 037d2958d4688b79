"""SUMMARIZATION: a dense summary of an article, at most ``maxSummaryWords`` words.

A longer summary is not rejected but recorded (``length_violation``). Metrics are in
``text_metrics.py`` and ``entities.py``; ROUGE only where the row has a reference summary.
"""

from collections.abc import Mapping, Sequence

from distillery.errors import SpecError
from distillery.tasks import PromptVariant, TaskName
from ray_jobs.engines.base import Constraint
from ray_jobs.records import GoldRow, PredictionRow, PromptRow, RowStatus
from ray_jobs.tasks.base import Parsed, Scored
from ray_jobs.tasks.entities import entity_density
from ray_jobs.tasks.parsing import (
    ENTITIES,
    FENCED,
    SUMMARY,
    DensityRounds,
    read_density_rounds,
    reject,
    unparsable,
)
from ray_jobs.tasks.refusals import is_refusal
from ray_jobs.tasks.roles import USER
from ray_jobs.tasks.row_metrics import mean_scores
from ray_jobs.tasks.single_turn import SingleTurnTask, check_variant
from ray_jobs.tasks.text_metrics import ROUGE_NAMES, count_words, novelty, rouge

_MAX_ENTITIES_PER_ROUND = 3
_MAX_ENTITY_CHARS = 60
_MAX_SUMMARY_CHARS_PER_WORD = 12


class SummarizationTask(SingleTurnTask):
    """Summaries, taught from the last round of a chain of density or from a plain prompt."""

    name = TaskName.SUMMARIZATION
    needed_columns = ("user",)

    def check_gold(self, gold: str, labels: Sequence[str]) -> str:
        """The reference summary without white space around it."""
        if not gold.strip():
            raise SpecError(
                "gold: no reference summary, got a blank; fill it in or leave fields.gold out",
                reason="InvalidLabel",
            )
        return gold.strip()

    def constraint(self, row: PromptRow, variant: PromptVariant) -> Constraint | None:
        """The JSON list of rounds; a plain summary has no form to force."""
        if variant is PromptVariant.VANILLA:
            return None
        check_variant(self.name, variant)
        prompts = self._options.prompts
        max_chars = _MAX_SUMMARY_CHARS_PER_WORD * prompts.max_summary_words
        entity = {"type": "string", "minLength": 1, "maxLength": _MAX_ENTITY_CHARS}
        entry = {
            "type": "object",
            "properties": {
                ENTITIES: {
                    "type": "array",
                    "items": entity,
                    "minItems": 1,
                    "maxItems": _MAX_ENTITIES_PER_ROUND,
                },
                SUMMARY: {"type": "string", "minLength": 1, "maxLength": max_chars},
            },
            "required": [ENTITIES, SUMMARY],
            "additionalProperties": False,
        }
        rounds = prompts.density_rounds
        schema = {"type": "array", "items": entry, "minItems": rounds, "maxItems": rounds}
        return Constraint(json_schema=schema)

    def score(
        self, parsed: Parsed, row: PromptRow, gold: GoldRow | None, reference: str = ""
    ) -> Scored:
        """Entity density, ROUGE where gold is there, and for readable summaries length, length
        violation and novelty. ``reference`` is not used: a summary has no turn to agree on."""
        summary = parsed.answer if parsed.status is RowStatus.OK else ""
        article = "\n".join(message.content for message in row.messages if message.role == USER)
        scores = {self.primary_metric: entity_density(summary, article)}
        if gold is not None:
            scores.update(rouge(summary, gold.gold))
        if summary:
            num_words = count_words(summary)
            scores["num_words"] = float(num_words)
            scores["length_violation"] = float(num_words > self._options.prompts.max_summary_words)
            scores["novelty"] = novelty(summary, article)
        return Scored(parsed=parsed, scores=scores)

    def summarise(
        self, predictions: Sequence[PredictionRow], gold: Mapping[str, GoldRow]
    ) -> dict[str, float]:
        """All row scores' means, and ``unparsable_rate``."""
        return mean_scores(predictions, also_parsable=(self.primary_metric, *ROUGE_NAMES))

    def constant_answer(self, gold: Sequence[GoldRow]) -> str | None:
        """None: no one summary fits all articles."""
        return None

    def _own_advanced(self) -> str:
        return self._options.prompts.chain_of_density

    def _read_answer(self, text: str, row: PromptRow, *, is_whole_form: bool) -> Parsed:
        if is_refusal(text):
            return reject(RowStatus.REFUSED, "refused")
        summary = text.strip()
        return Parsed(status=RowStatus.OK, answer=summary) if summary else unparsable("empty")

    def _read_advanced(self, text: str, row: PromptRow) -> Parsed:
        read = read_density_rounds(text, num_rounds=self._options.prompts.density_rounds)
        if isinstance(read, Parsed):
            return read
        parsed = self._read_answer(read.summaries[-1], row, is_whole_form=True)
        if parsed.status is not RowStatus.OK:
            return parsed
        detail = FENCED if read.is_fenced else ""
        return Parsed(
            status=RowStatus.OK, answer=parsed.answer, reason=describe_rounds(read), detail=detail
        )


def describe_rounds(rounds: DensityRounds) -> str:
    """One line a round for the report: what it added, and its summary."""
    lines = []
    for number, (entities, summary) in enumerate(
        zip(rounds.entities, rounds.summaries, strict=True), start=1
    ):
        lines.append(f"round {number} adds {'; '.join(entities)}: {summary}")
    return "\n".join(lines)
