"""MATH: a word problem whose answer is one number."""

from collections.abc import Sequence
from typing import Any

from distillery.errors import SpecError
from distillery.tasks import TaskName
from ray_jobs.engines.base import Constraint
from ray_jobs.records import PromptRow, RowStatus
from ray_jobs.tasks.base import Parsed
from ray_jobs.tasks.labelled import quote_value
from ray_jobs.tasks.numbers import normalise_number
from ray_jobs.tasks.parsing import reject, unparsable
from ray_jobs.tasks.reasoned import ReasonedTask
from ray_jobs.tasks.refusals import is_refusal

ANSWER_PATTERN = r"^-?[0-9]{1,15}(\.[0-9]{1,10})?$"
"""What a constrained teacher may write: bounded, so that it can't run on."""


class MathTask(ReasonedTask):
    """Numeric match; how numbers are read and brought to one form is ``numbers.py``."""

    name = TaskName.MATH
    needed_columns = ("user",)

    def check_gold(self, gold: str, labels: Sequence[str]) -> str:
        """The gold number in plain digits."""
        number = normalise_number(gold)
        if number is None:
            raise SpecError(
                f"gold: not a number, got {quote_value(gold)}; use digits such as 39 or -1.5",
                reason="InvalidLabel",
            )
        return number

    def _read_answer(self, text: str, row: PromptRow, *, is_whole_form: bool) -> Parsed:
        number = normalise_number(text)
        if number is not None:
            return Parsed(status=RowStatus.OK, answer=number)
        if is_refusal(text):
            return reject(RowStatus.REFUSED, "refused")
        return unparsable("not a number alone")

    def _vanilla_constraint(self, row: PromptRow) -> Constraint | None:
        return Constraint(json_schema={"type": "number"})

    def _answer_schema(self, row: PromptRow) -> dict[str, Any]:
        return {"type": "string", "pattern": ANSWER_PATTERN}
