"""Random ends of names, the same in each run of a test."""

from random import Random

_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


class Names:
    """Gives suffixes of five characters, from ``seed`` on."""

    def __init__(self, seed: int = 0) -> None:
        self._random = Random(seed)

    def suffix(self) -> str:
        """The next one."""
        return "".join(self._random.choices(_LETTERS, k=5))
