"""What is to be asked: rows x prompts x samples, turn by turn; pure.

An ``Ask`` is one answer wanted; a ``WorkItem`` is what an engine needs to give it. Several asks may
have one key and so one item. ``desk.py`` knows which are still open.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from distillery.tasks import PromptVariant
from ray_jobs.answers.keys import KeyMaker
from ray_jobs.engines.base import Constraint
from ray_jobs.records import PromptRow
from ray_jobs.rendering import Renderer
from ray_jobs.tasks.base import Task

NUM_SMOKE_ROWS = 16
"""Of each split and prompt these are asked first: the gate looks at them before more is spent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """The answer wanted for (row, variant, sample) at the turn after ``replies``. ``place`` counts
    from 0 within the split and variant, in the order of asking."""

    row: PromptRow
    variant: PromptVariant
    sample: int
    num_turns: int
    place: int
    replies: tuple[str, ...] = ()

    @property
    def turn(self) -> int:
        """The turn to be answered, from 0."""
        return len(self.replies)

    def after(self, reply: str) -> "Ask | None":
        """The next turn's ask; None where ``reply`` was the last."""
        if self.turn + 1 >= self.num_turns:
            return None
        return replace(self, replies=(*self.replies, reply))


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkItem:
    """One prompt for an engine. ``key`` is its row key and its request id."""

    key: str
    prompt_ids: Sequence[int]
    constraint: Constraint | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyedAsk:
    """An ask and the item that would answer it."""

    ask: Ask
    item: WorkItem


def first_asks(
    rows: Sequence[PromptRow], variants: Sequence[PromptVariant], num_samples: int, task: Task
) -> list[Ask]:
    """The first turn of everything to be asked.

    Order: the smoke rows of each split and variant, then the rest; within both by the hash of the
    row id, so that a file sorted by class doesn't put one class before the gate.
    """
    smoke: list[Ask] = []
    rest: list[Ask] = []
    places: dict[tuple[str, str], int] = {}
    for row in sorted(rows, key=lambda row: sha256(row.row_id.encode()).digest()):
        num_turns = task.num_turns(row)
        for variant in variants:
            group = (row.split.value, variant.value)
            for sample in range(num_samples):
                place = places.get(group, 0)
                places[group] = place + 1
                ask = Ask(row=row, variant=variant, sample=sample, num_turns=num_turns, place=place)
                (smoke if place < NUM_SMOKE_ROWS else rest).append(ask)
    return smoke + rest


class Scribe:
    """Writes asks down as work items: prompt, token ids, key.

    Args:
        is_structured: Whether answers are forced into their form.
    """

    def __init__(
        self, *, task: Task, renderer: Renderer, keys: KeyMaker, is_structured: bool
    ) -> None:
        self._task = task
        self._renderer = renderer
        self._keys = keys
        self._is_structured = is_structured

    def write(self, asks: Sequence[Ask]) -> list[KeyedAsk]:
        """The asks with their items, tokenised in one call."""
        prompts = [self._task.prompt(ask.row, ask.variant, ask.replies) for ask in asks]
        return [
            KeyedAsk(ask=ask, item=self._item(ask, ids))
            for ask, ids in zip(asks, self._renderer.prompt_ids_many(prompts), strict=True)
        ]

    def _item(self, ask: Ask, ids: Sequence[int]) -> WorkItem:
        constraint = self._task.constraint(ask.row, ask.variant) if self._is_structured else None
        key = self._keys.key(ids, sample=ask.sample, constraint=constraint)
        # An array travels to the engine as bytes, a list as so many objects.
        return WorkItem(key=key, prompt_ids=array("I", ids), constraint=constraint)
