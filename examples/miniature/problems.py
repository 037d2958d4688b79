"""Word problems whose answer is a sum, and the split that keeps test sums out of training.

``Tom has 5 coins. Ana finds 3. Leo buys 8. Eva gets 4. How many coins in all?`` (20). The sum
doesn't depend on the order of the numbers, so the splits are drawn over *multisets* of
numbers: held out by ordered tuples, every test sum would stand in train in another order.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from math import factorial, prod

NAMES = ("Tom", "Ana", "Leo", "Eva", "Max", "Ida", "Ben", "Zoe", "Sam", "Mia", "Jan", "Liv")
THINGS = ("coins", "pens", "books", "cards", "stamps", "shells", "keys", "apples", "balls", "cups")
VERBS = ("finds", "buys", "gets", "wins", "brings")
SMALLEST, LARGEST = 1, 9
NUM_ADDENDS = 4
LARGEST_SUM = NUM_ADDENDS * LARGEST
# Which set each of 25 multisets goes to: 20 to train (0), 2 to validation (1), 3 to test (2).
DEAL = (0,) * 20 + (1,) * 2 + (2,) * 3

Multiset = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One word problem: its numbers in the order of the text, and the text."""

    numbers: tuple[int, ...]
    question: str

    @property
    def answer(self) -> int:
        """The sum of the numbers."""
        return sum(self.numbers)

    @property
    def multiset(self) -> Multiset:
        """The numbers in rising order: what a problem must not share with another split."""
        return tuple(sorted(self.numbers))

    @property
    def reason(self) -> str:
        """The running sums, as the teacher's chain of thought writes them: ``5+3=8, 8+8=16``."""
        total, steps = self.numbers[0], []
        for number in self.numbers[1:]:
            steps.append(f"{total}+{number}={total + number}")
            total += number
        return ", ".join(steps)


@dataclass(frozen=True, kw_only=True)
class Split:
    """The multisets of four numbers, dealt out to three sets that share none."""

    train: tuple[Multiset, ...]
    validation: tuple[Multiset, ...]
    test: tuple[Multiset, ...]


def split_multisets(rng: random.Random) -> Split:
    """All multisets of four numbers, dealt out so that each set has small, middle and large sums.

    Of every 25 neighbours by sum, 2 go to validation and 3 to test: drawn without regard to the
    sum, sets this small would differ in which answers are common.
    """
    multisets = list(combinations_with_replacement(range(SMALLEST, LARGEST + 1), NUM_ADDENDS))
    rng.shuffle(multisets)
    multisets.sort(key=sum)
    dealt: tuple[list[Multiset], ...] = ([], [], [])
    for start in range(0, len(multisets), len(DEAL)):
        neighbours = multisets[start : start + len(DEAL)]
        for multiset, hand in zip(neighbours, rng.sample(DEAL, len(DEAL)), strict=False):
            dealt[hand].append(multiset)
    train, validation, test = dealt
    return Split(train=tuple(train), validation=tuple(validation), test=tuple(test))


class Writer:
    """Writes problems and never the same question twice, whoever asks.

    One writer serves all data sets and both models' training sets: that keeps their prompts
    disjoint.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._written: set[str] = set()

    def write(self, count: int, *, multisets: Sequence[Multiset]) -> list[Problem]:
        """``count`` new problems over the multisets, each number order as likely as any other."""
        weights = [count_orders(multiset) for multiset in multisets]
        problems: list[Problem] = []
        while len(problems) < count:
            (multiset,) = self._rng.choices(multisets, weights)
            numbers = tuple(self._rng.sample(multiset, len(multiset)))
            problem = Problem(numbers=numbers, question=self._ask(numbers))
            if problem.question not in self._written:
                self._written.add(problem.question)
                problems.append(problem)
        return problems

    def _ask(self, numbers: tuple[int, ...]) -> str:
        thing = self._rng.choice(THINGS)
        names = self._rng.sample(NAMES, len(numbers))
        sentences = [f"{names[0]} has {numbers[0]} {thing}."]
        for name, number in zip(names[1:], numbers[1:], strict=True):
            sentences.append(f"{name} {self._rng.choice(VERBS)} {number}.")
        return " ".join([*sentences, f"How many {thing} in all?"])


def count_orders(multiset: Multiset) -> int:
    """In how many different orders the multiset's numbers can stand: n! / product of k_i!."""
    repeats = [multiset.count(number) for number in set(multiset)]
    return factorial(len(multiset)) // prod(factorial(repeat) for repeat in repeats)


def list_pairs() -> list[Multiset]:
    """All multisets of two numbers: what the student's base model learns to add."""
    return list(combinations_with_replacement(range(SMALLEST, LARGEST + 1), 2))
