"""The one renderer: chat messages to token ids and a loss mask.

Training gets ids and mask, the engines get ids; nobody else applies a chat template, so that a
student is asked in exactly the form it was taught in. ``template_hash`` names that form and is
compared between train, evaluate and publish. Knows no task and no prompt.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillery.errors import SpecError
from ray_jobs.chat_template import ChatTemplate
from ray_jobs.records import Message

RENDERER_VERSION = 1
"""Raised when the same template would give other ids than before."""


@dataclass(frozen=True, kw_only=True)
class TrainingExample:
    """One conversation to learn from; ``mask[i]`` is 1 where ``ids[i]`` bears loss, else 0."""

    ids: list[int]
    mask: list[int]


class Renderer:
    """Turns conversations into token ids with one model's tokenizer and chat template.

    Attributes:
        template_hash: SHA-256 of all that decides which ids a conversation becomes.
        has_system_role: False where the template has no (stable) place for a system message: its
            text then goes before the first user message, in training and inference alike.
        end_of_turn_id: The token that ends an assistant's turn.
        stop_token_ids: What ends an answer: ``end_of_turn_id`` and the tokenizer's end token.
    """

    def __init__(self, tokenizer: Any, template: ChatTemplate) -> None:
        self._tokenizer = tokenizer
        self._template = template
        self.has_system_role = template.has_system_role()
        self.end_of_turn_id = self._find_end_of_turn()
        ids = {self.end_of_turn_id, tokenizer.eos_token_id} - {None}
        self.stop_token_ids: tuple[int, ...] = tuple(sorted(ids))
        self.template_hash = self._hash()

    @classmethod
    def from_folder(cls, folder: str | Path, *, date: str | None = None) -> "Renderer":
        """Reads the tokenizer of a local model folder; never asks the network.

        Args:
            folder: What ``save_pretrained`` writes.
            date: ``YYYY-MM-DD``, printed by templates that print today's date.

        Raises:
            SpecError: ``ModelUnreadable`` no tokenizer there; ``TemplateMissing`` no chat
                template; ``TemplateDate`` the template prints today's date and none is pinned;
                ``TemplateNoEndOfTurn`` no special token ends an assistant's turn.
        """
        tokenizer = _load_tokenizer(Path(folder))
        return cls(tokenizer, ChatTemplate(tokenizer, place=str(folder), date=date))

    @property
    def eos_token_id(self) -> int | None:
        """The tokenizer's own end token, if it has one."""
        eos: int | None = self._tokenizer.eos_token_id
        return eos

    @property
    def pad_token_id(self) -> int:
        """What fills a batch up: the tokenizer's padding token, else its end of turn."""
        pad: int | None = self._tokenizer.pad_token_id
        return self.end_of_turn_id if pad is None else pad

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """The ids to send a model so that the assistant speaks next."""
        return self.prompt_ids_many([messages])[0]

    def prompt_ids_many(self, conversations: Sequence[Sequence[Message]]) -> list[list[int]]:
        """``prompt_ids`` of each conversation, tokenised in one call."""
        return self._encode([self._render(turns, prompt=True) for turns in conversations])

    def training_example(self, messages: Sequence[Message]) -> TrainingExample:
        """The whole conversation with loss on every assistant turn and its end-of-turn token.

        Raises:
            SpecError: ``TemplateNotPrefix`` where the prompt of a turn is no prefix of the prompt
                with its reply, so that the model would be asked in a form it was not taught in;
                ``InvalidSpec`` where no assistant speaks.
        """
        return self.training_examples([messages])[0]

    def training_examples(
        self, conversations: Sequence[Sequence[Message]]
    ) -> list[TrainingExample]:
        """``training_example`` of each conversation, tokenised in one call."""
        turns_of = [_assistant_turns(messages) for messages in conversations]
        texts: list[str] = []
        for messages, turns in zip(conversations, turns_of, strict=True):
            for turn in turns:
                texts.append(self._render(messages[:turn], prompt=True))
                texts.append(self._render(messages[: turn + 1], prompt=False))
        encoded = iter(self._encode(texts))
        return [
            self._join([(turn, next(encoded), next(encoded)) for turn in turns])
            for turns in turns_of
        ]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of the ids, without special tokens."""
        text: str = self._tokenizer.decode(
            ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text

    def save_tokenizer(self, folder: str | Path) -> None:
        """Writes the tokenizer with its template, for a model folder to be read by an engine."""
        self._tokenizer.save_pretrained(folder)

    def _join(self, turns: Sequence[tuple[int, list[int], list[int]]]) -> TrainingExample:
        """The last turn's ids, masked by the turns; every turn must begin with all before it."""
        ids: list[int] = []
        mask: list[int] = []
        for turn, prompt, whole in turns:
            end = _last_index(whole, self.end_of_turn_id)
            if prompt[: len(ids)] != ids or whole[: len(prompt)] != prompt or end < len(prompt):
                raise SpecError(
                    f"model.chatTemplate: the ids of a prompt must begin the ids of prompt plus "
                    f"reply, got others at message {turn + 1}; use a model or a chat template that "
                    "leaves earlier text as it was",
                    reason="TemplateNotPrefix",
                )
            mask += [0] * (len(prompt) - len(mask)) + [1] * (end + 1 - len(prompt))
            ids = whole[: end + 1]
        return TrainingExample(ids=ids, mask=mask)

    def _render(self, messages: Sequence[Message], *, prompt: bool) -> str:
        turns = messages if self.has_system_role else merge_system(messages)
        return self._template.render(turns, prompt=prompt)

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text as it stands: the template has written the special tokens already."""
        if not texts:
            return []
        encoded: list[list[int]] = self._tokenizer(list(texts), add_special_tokens=False)[
            "input_ids"
        ]
        return encoded

    def _find_end_of_turn(self) -> int:
        """The first special token after a reply."""
        tail = self._template.after_reply()
        special = set(self._tokenizer.all_special_ids) | set(self._tokenizer.added_tokens_decoder)
        for token in self._encode([tail])[0]:
            if token in special:
                return token
        raise SpecError(
            f"{self._template.place}: the chat template must end an assistant's turn with a "
            f"special token, got {tail[:20]!r}; add the end token to the template",
            reason="TemplateNoEndOfTurn",
        )

    def _hash(self) -> str:
        form = {
            "rendererVersion": RENDERER_VERSION,
            "template": self._template.source,
            "date": self._template.date,
            "systemRole": self.has_system_role,
            "bos": self._tokenizer.bos_token,
            "eos": self._tokenizer.eos_token,
            "endOfTurn": self._tokenizer.convert_ids_to_tokens(self.end_of_turn_id),
            "stopTokenIds": self.stop_token_ids,
        }
        return hashlib.sha256(json.dumps(form, sort_keys=True).encode()).hexdigest()


def merge_system(messages: Sequence[Message]) -> list[Message]:
    """The conversation with a leading system message put before the first user message.

    Source: docs/METHOD.md, models without a system role.
    """
    turns = list(messages)
    if not turns or turns[0].role != "system":
        return turns
    system, rest = turns[0], turns[1:]
    if not rest or rest[0].role != "user":
        raise SpecError(
            "messages[1].role: a user must speak after the system message of a model without "
            f"system role, got {rest[0].role if rest else 'nothing'}; add a user message"
        )
    first = Message(role="user", content=f"{system.content}\n\n{rest[0].content}")
    return [first, *rest[1:]]


def _assistant_turns(messages: Sequence[Message]) -> list[int]:
    turns = [index for index, message in enumerate(messages) if message.role == "assistant"]
    if not turns:
        raise SpecError(
            "messages: an assistant must speak in a training conversation, "
            f"got {len(messages)} messages without one; add the reply"
        )
    return turns


def _last_index(ids: Sequence[int], wanted: int) -> int:
    """Where ``wanted`` stands last, -1 if nowhere."""
    for index in range(len(ids) - 1, -1, -1):
        if ids[index] == wanted:
            return index
    return -1


def _load_tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    if not folder.is_dir():
        raise SpecError(
            f"{folder}: a model folder must be a directory, got none there; check the path",
            reason="ModelUnreadable",
        )
    try:
        return AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    # What AutoTokenizer raises for missing, broken and unknown files, in that order.
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
        raise SpecError(
            f"{folder}: no readable tokenizer, got {type(error).__name__}; "
            "save one there with save_pretrained",
            reason="ModelUnreadable",
        ) from error
