"""CONVERSATION: every assistant turn of a dialogue, answered in order on the model's own history.

The recorded assistant turns only mark how many turns there are; they enter no prompt. There is no
ground truth: what is measured is agreement with the teacher, named so. Declining is no failure
here, for a dialogue's system message may ask for it: REFUSED is never given.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from distillery.errors import InvariantError, SpecError
from distillery.tasks import TASK_FACTS, PromptVariant, TargetKind, TaskName
from ray_jobs.engines.base import Constraint, FinishReason
from ray_jobs.records import GoldRow, Message, PredictionRow, PromptRow, RowStatus
from ray_jobs.tasks.base import Columns, Parsed, Scored, TaskOptions
from ray_jobs.tasks.parsing import reject_unfinished
from ray_jobs.tasks.prompt_library import LIBRARY, hash_words
from ray_jobs.tasks.roles import ASSISTANT, USER, check_dialogue, replace_system
from ray_jobs.tasks.row_metrics import mean_scores
from ray_jobs.tasks.single_turn import check_variant
from ray_jobs.tasks.text_metrics import count_words, repetition, rouge_l


@dataclass(frozen=True)
class ConversationTask:
    """Multi-turn chat with the vanilla prompt alone."""

    options: TaskOptions

    @property
    def name(self) -> TaskName:
        """CONVERSATION."""
        return TaskName.CONVERSATION

    @property
    def primary_metric(self) -> str:
        """Agreement with the teacher."""
        return TASK_FACTS[self.name].primary_metric

    @property
    def prompt_hash(self) -> str:
        """SHA-256 over all words this task puts to a model."""
        return hash_words(self.name, LIBRARY[self.name], (), self.options.prompts)

    def messages_from_columns(self, columns: Columns) -> tuple[Message, ...]:
        """Raises ``SpecError``: a dialogue does not fit into columns."""
        raise SpecError(
            "messages: CONVERSATION needs a column of chat messages, got other columns; "
            "map it with fields.messages"
        )

    def vanilla_messages(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        """The dialogue with the job's own system message, where it has one, put in place."""
        check_dialogue(messages)
        return replace_system(messages, self.options.prompts.system)

    def row_labels(self, columns: Columns | None, messages: Sequence[Message]) -> tuple[str, ...]:
        """Empty: there is no label space."""
        return ()

    def check_gold(self, gold: str, labels: Sequence[str]) -> str:
        """Raises ``SpecError``: a dialogue has no ground truth."""
        raise SpecError(
            "gold: CONVERSATION has no ground truth, got a gold column; leave fields.gold out",
            reason="InvalidLabel",
        )

    def num_turns(self, row: PromptRow) -> int:
        """One answer to each user turn."""
        return sum(message.role == USER for message in row.messages)

    def prompt(
        self, row: PromptRow, variant: PromptVariant, replies: Sequence[str] = ()
    ) -> tuple[Message, ...]:
        """The dialogue up to the user turn after ``replies``, these as its assistant turns."""
        check_variant(self.name, variant)
        if len(replies) >= self.num_turns(row):
            raise InvariantError(
                f"{row.row_id}: no turn left to answer, got {len(replies)} replies"
            )
        return _weave(row, replies, num_user_turns=len(replies) + 1)

    def constraint(self, row: PromptRow, variant: PromptVariant) -> Constraint | None:
        """None: free text."""
        return None

    def parse_teacher(
        self, text: str, row: PromptRow, variant: PromptVariant, finish: FinishReason
    ) -> Parsed:
        """The reply without white space around it. A cut one is TRUNCATED."""
        check_variant(self.name, variant)
        return _read_reply(text, finish)

    def parse_student(
        self, text: str, row: PromptRow, kind: TargetKind, finish: FinishReason
    ) -> Parsed:
        """The reply without white space around it. A cut one is TRUNCATED."""
        _check_kind(kind)
        return _read_reply(text, finish)

    def target_text(self, parsed: Parsed, kind: TargetKind) -> str:
        """The reply."""
        _check_kind(kind)
        if parsed.status is not RowStatus.OK:
            raise InvariantError(f"{self.name}: no target in an answer that is {parsed.status}")
        return parsed.answer

    def gold_target(self, gold: GoldRow) -> str:
        """Raises ``InvariantError``: there is no Gold arm."""
        raise InvariantError(f"{gold.row_id}: {self.name} has no gold to train on")

    def target_messages(self, row: PromptRow, targets: Sequence[str]) -> tuple[Message, ...]:
        """The dialogue with ``targets`` as its first assistant turns, ending after the last."""
        if not 1 <= len(targets) <= self.num_turns(row):
            raise InvariantError(
                f"{row.row_id}: {self.num_turns(row)} turns take as many targets at most and one "
                f"at least, got {len(targets)}"
            )
        return _weave(row, targets, num_user_turns=len(targets))

    def score(
        self, parsed: Parsed, row: PromptRow, gold: GoldRow | None, reference: str = ""
    ) -> Scored:
        """Agreement with ``reference``, the teacher's reply (0 where that is missing, which
        ``missing_reference`` says), whether the reply was cut, its length and repetition."""
        reply = parsed.answer if parsed.status is RowStatus.OK else ""
        scores = {
            self.primary_metric: rouge_l(reply, reference),
            "missing_reference": float(not reference.strip()),
            "unfinished_rate": float(parsed.status is RowStatus.TRUNCATED),
        }
        if reply:
            scores["num_words"] = float(count_words(reply))
            scores["repetition"] = repetition(reply)
        return Scored(parsed=parsed, scores=scores)

    def summarise(
        self, predictions: Sequence[PredictionRow], gold: Mapping[str, GoldRow]
    ) -> dict[str, float]:
        """All turn scores' means, and ``unparsable_rate``."""
        return mean_scores(predictions, also_parsable=(self.primary_metric,))

    def constant_answer(self, gold: Sequence[GoldRow]) -> str | None:
        """None: no one reply fits all turns."""
        return None


def _read_reply(text: str, finish: FinishReason) -> Parsed:
    unfinished = reject_unfinished(text, finish)
    return unfinished or Parsed(status=RowStatus.OK, answer=text.strip())


def _check_kind(kind: TargetKind) -> None:
    if kind is not TargetKind.ANSWER_ONLY:
        raise SpecError(
            f"spec.students.target: CONVERSATION has no reason to train on, got {kind}; "
            f"use {TargetKind.ANSWER_ONLY}"
        )


def _weave(row: PromptRow, replies: Sequence[str], *, num_user_turns: int) -> tuple[Message, ...]:
    """The system message and the first user turns, each followed by its reply where it has one."""
    woven: list[Message] = []
    num_seen = 0
    for message in row.messages:
        if message.role == ASSISTANT:
            continue
        if message.role == USER and num_seen == num_user_turns:
            break
        woven.append(message)
        if message.role == USER:
            if num_seen < len(replies):
                woven.append(Message(role=ASSISTANT, content=replies[num_seen]))
            num_seen += 1
    return tuple(woven)
