"""Counts what ended, keeps examples of what was rejected, asks the gates; no Ray, no storage."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from distillery.errors import MAX_MESSAGE_CHARS, SpecError
from ray_jobs.engines.base import FinishReason
from ray_jobs.generate.gate import Gate, Hopeless
from ray_jobs.generate.work import Ask
from ray_jobs.records import AnswerRow, RejectedRow, RowStatus, Split
from ray_jobs.tasks.base import Task

MAX_EXAMPLES = 50
"""Rejected answers kept of each split and variant: enough to see what goes wrong."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A gate that gave up."""

    split: Split
    variant: str
    seen: Hopeless


class Tally:
    """Answer rows by split and variant.

    Args:
        asks: Everything that will be asked (first turns).
        min_success_ratio: Of the gates, which stand before training data alone: test rows are
            answered for reference.
    """

    def __init__(self, *, task: Task, asks: Iterable[Ask], min_success_ratio: float) -> None:
        self._task = task
        totals = Counter((ask.row.split, ask.variant.value) for ask in asks)
        self._gates = {
            group: Gate(total=total, min_success_ratio=min_success_ratio)
            for group, total in totals.items()
            if group[0] != Split.TEST
        }
        self.total = totals.total()
        self.rows: dict[tuple[Split, str], list[AnswerRow]] = {group: [] for group in totals}
        self.rejected: dict[tuple[Split, str], list[RejectedRow]] = {}
        self.usable: Counter[tuple[Split, str]] = Counter()
        self.num_done = 0

    @property
    def num_rejected(self) -> int:
        """How many ended without a usable answer."""
        return self.num_done - self.usable.total()

    def record(self, ended: Sequence[tuple[Ask, list[AnswerRow]]]) -> Verdict | None:
        """Takes in what ended. Returns the first gate that gives up."""
        for ask, rows in ended:
            group = (ask.row.split, ask.variant.value)
            self.rows[group].extend(rows)
            self.num_done += 1
            status = self._status(ask, rows)
            self.usable[group] += status == RowStatus.OK
            gate = self._gates.get(group)
            seen = gate.record(ask.place, status.value) if gate else None
            if seen is not None:
                return Verdict(split=ask.row.split, variant=ask.variant.value, seen=seen)
        return None

    def _status(self, ask: Ask, rows: Sequence[AnswerRow]) -> RowStatus:
        """What the whole row is worth: the first turn's status that isn't OK."""
        for row in rows:
            status, detail = row.status, row.reason
            if status == RowStatus.OK:
                parsed = self._task.parse_teacher(
                    row.text, ask.row, ask.variant, FinishReason(row.finish_reason)
                )
                status, detail = parsed.status, parsed.detail
            if status != RowStatus.OK:
                self._keep_example(row, status, detail)
                return status
        return RowStatus.OK

    def _keep_example(self, row: AnswerRow, status: RowStatus, detail: str) -> None:
        examples = self.rejected.setdefault((row.split, row.variant), [])
        if len(examples) < MAX_EXAMPLES:
            examples.append(
                RejectedRow(
                    row_id=row.row_id,
                    split=row.split,
                    variant=row.variant,
                    sample=row.sample,
                    turn=row.turn,
                    status=status,
                    detail=detail,
                    text=row.text,
                )
            )


def hopeless_error(verdict: Verdict, *, min_success_ratio: float, examples_uri: str) -> SpecError:
    """The error that stops the job, with the reasons counted and the examples' place."""
    seen = verdict.seen
    reasons = ", ".join(
        f"{reason} {count}" for reason, count in sorted(seen.reasons.items(), key=lambda r: -r[1])
    )
    head = (
        f"spec.teacher.minSuccessRatio: {verdict.split} {verdict.variant} can't reach "
        f"{min_success_ratio:g}, got {seen.num_ok} of {seen.num_seen} usable ({reasons}); "
        "mend the prompt or lower it, see "
    )
    spare = MAX_MESSAGE_CHARS - len(head)
    uri = examples_uri if len(examples_uri) <= spare else "..." + examples_uri[3 - spare :]
    return SpecError(head + uri, reason="HopelessSuccessRatio")
