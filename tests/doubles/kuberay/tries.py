"""Work that the API server may refuse: what fails is noted and left for the next step."""

from collections.abc import Callable

from distillery.errors import ExternalError, TransientError


class Tries:
    """Does pieces of work, each whether or not the others fail."""

    def __init__(self) -> None:
        self.faults: list[str] = []

    def attempt(self, work: Callable[[], None]) -> None:
        """Does ``work``."""
        try:
            work()
        except (ExternalError, TransientError) as error:
            self.faults.append(error.message)
