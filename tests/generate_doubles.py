"""What stage generate's tests put in the place of a tokenizer and a teacher's process."""

from collections.abc import Sequence

from distillery.tasks import PromptVariant, TaskName
from ray_jobs.answers.keys import KeyMaker, TeacherIdentity
from ray_jobs.engines.base import Sampling
from ray_jobs.generate.work import Ask, KeyedAsk, WorkItem, first_asks
from ray_jobs.records import Message, PromptRow, Split
from tests.rows import make_any_task


def make_prompt_row(
    row_id: str, *, split: Split = Split.TRAIN, text: str = "", turns: int = 1
) -> PromptRow:
    """A question of its own (or ``text``), or a dialogue of ``turns`` user turns."""
    messages = [Message(role="user", content=text or f"question {row_id}")]
    for turn in range(1, turns):
        messages.append(Message(role="assistant", content="recorded"))
        messages.append(Message(role="user", content=f"and {turn}?"))
    if turns > 1:
        messages.append(Message(role="assistant", content="recorded"))
    return PromptRow(row_id=row_id, split=split, messages=tuple(messages))


def make_asks(rows: Sequence[PromptRow], *, num_samples: int = 1, turns: int = 1) -> list[Ask]:
    """The rows' first asks: word problems, or dialogues where ``turns`` > 1."""
    task = make_any_task(TaskName.CONVERSATION if turns > 1 else TaskName.MATH)
    return first_asks(rows, [PromptVariant.VANILLA], num_samples, task)


def write_plainly(asks: Sequence[Ask]) -> list[KeyedAsk]:
    """As ``Scribe.write``, a token a character: no tokenizer is read."""
    keys = KeyMaker(
        TeacherIdentity(weights_digest="d", quantisation="auto"),
        Sampling(temperature=0.0, top_p=1.0, max_tokens=16),
    )
    keyed = []
    for ask in asks:
        texts = [message.content for message in ask.row.messages if message.role == "user"]
        said = [part for pair in zip(texts, ask.replies, strict=False) for part in pair]
        ids = [ord(char) for char in "\n".join([*said, texts[ask.turn]])]
        keyed.append(
            KeyedAsk(ask=ask, item=WorkItem(key=keys.key(ids, sample=ask.sample), prompt_ids=ids))
        )
    return keyed
