"""The tally: counts, examples and the message that stops a job."""

import pytest

from distillery.errors import MAX_MESSAGE_CHARS
from ray_jobs.engines.base import FinishReason
from ray_jobs.generate.gate import Hopeless
from ray_jobs.generate.tally import MAX_EXAMPLES, Tally, Verdict, hopeless_error
from ray_jobs.generate.work import Ask
from ray_jobs.records import AnswerRow, RowStatus, Split
from tests.generate_doubles import make_asks, make_prompt_row
from tests.rows import make_any_task


def make_row(ask: Ask, text: str, status: RowStatus = RowStatus.OK) -> AnswerRow:
    return AnswerRow(
        row_id=ask.row.row_id,
        split=ask.row.split,
        variant=ask.variant.value,
        sample=ask.sample,
        turn=0,
        num_turns=1,
        key="k",
        status=status,
        text=text,
        finish_reason=FinishReason.STOP.value,
    )


def make_tally(asks: list[Ask], ratio: float = 0.9) -> Tally:
    return Tally(task=make_any_task(), asks=asks, min_success_ratio=ratio)


def test_answers_that_can_not_be_read_stop_generation() -> None:
    asks = make_asks([make_prompt_row(f"r{number}") for number in range(100)])
    tally = make_tally(asks)
    verdict = tally.record([(ask, [make_row(ask, "no number here")]) for ask in asks[:16]])
    assert verdict == Verdict(
        split=Split.TRAIN,
        variant="Vanilla",
        seen=Hopeless(num_ok=0, num_seen=16, reasons={"unparsable": 16}),
    )
    assert (tally.num_done, tally.num_rejected) == (16, 16)


def test_readable_answers_count_as_usable() -> None:
    asks = make_asks([make_prompt_row(f"r{number}") for number in range(20)])
    tally = make_tally(asks)
    assert tally.record([(ask, [make_row(ask, "8")]) for ask in asks]) is None
    assert tally.usable[Split.TRAIN, "Vanilla"] == 20
    assert tally.rejected == {}


def test_test_rows_are_counted_but_stop_nothing() -> None:
    asks = make_asks([make_prompt_row(f"r{number}", split=Split.TEST) for number in range(40)])
    tally = make_tally(asks)
    assert tally.record([(ask, [make_row(ask, "none")]) for ask in asks]) is None
    assert tally.num_rejected == 40


def test_examples_are_kept_up_to_a_bound() -> None:
    asks = make_asks([make_prompt_row(f"r{number}") for number in range(MAX_EXAMPLES + 10)])
    tally = make_tally(asks, ratio=0.0)
    tally.record([(ask, [make_row(ask, "none")]) for ask in asks])
    (examples,) = tally.rejected.values()
    assert len(examples) == MAX_EXAMPLES
    assert examples[0].text == "none"


@pytest.mark.parametrize("uri", ["file:///r", "s3://bucket/" + "long/" * 80 + "rejected.parquet"])
def test_message_counts_reasons_and_names_the_examples_place(uri: str) -> None:
    verdict = Verdict(
        split=Split.TRAIN,
        variant="ChainOfThought",
        seen=Hopeless(num_ok=3, num_seen=16, reasons={"truncated": 1, "unparsable": 12}),
    )
    error = hopeless_error(verdict, min_success_ratio=0.9, examples_uri=uri)
    assert error.reason == "HopelessSuccessRatio"
    assert error.message.startswith(
        "spec.teacher.minSuccessRatio: train ChainOfThought can't reach 0.9, "
        "got 3 of 16 usable (unparsable 12, truncated 1); mend the prompt or lower it, see "
    )
    assert error.message.endswith(uri[-8:])
    assert len(error.message) <= MAX_MESSAGE_CHARS
