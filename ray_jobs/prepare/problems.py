"""Bad rows, gathered so that a user sees several at once, each by file and line."""

from distillery.errors import MAX_MESSAGE_CHARS, Problem, SpecError

MAX_SHOWN = 5
BAD_ROWS = "BadRows"
_MAX_FILE_CHARS = 80


class RowProblems:
    """The bad rows of one file, by its name as it is shown."""

    def __init__(self, file: str) -> None:
        self.file = file[-_MAX_FILE_CHARS:]
        self._shown: list[Problem] = []
        self._num_more = 0

    def add(self, number: int, message: str) -> None:
        """Notes that row or line ``number`` (from 1) is bad; ``message`` quotes no row text."""
        if len(self._shown) == MAX_SHOWN:
            self._num_more += 1
            return
        path = f"{self.file}:{number}"
        spare = MAX_MESSAGE_CHARS - len(path) - len(": ")
        self._shown.append(Problem(path=path, message=message[:spare]))

    def raise_if_any(self) -> None:
        """Raises ``SpecError`` (reason ``BadRows``) with the first problems and a count."""
        if not self._shown:
            return
        lines = [str(problem) for problem in self._shown]
        if self._num_more:
            lines.append(f"{self.file}: {self._num_more} more rows are bad; mend or drop them")
        raise SpecError("\n".join(lines), reason=BAD_ROWS, problems=self._shown)
