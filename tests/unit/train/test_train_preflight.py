"""What stops a training before its first step."""

import re

import pytest

from distillery.errors import SpecError
from distillery.stage_configs import PinnedModel
from ray_jobs.rendering import TrainingExample
from ray_jobs.train.preflight import check_examples, check_template, select_short

END = 9


def make_example(length: int, *, mask: list[int] | None = None) -> TrainingExample:
    ids = [1] * (length - 1) + [END]
    return TrainingExample(ids=ids, mask=mask or [0] * (length - 2) + [1, 1])


def check(examples: list[TrainingExample], *, share: float = 0.01, limit: int = 10) -> object:
    return check_examples(
        "Vanilla", examples, limit=limit, max_truncated_share=share, end_of_turn_id=END
    )


def test_good_rows_give_their_figures() -> None:
    found = check([make_example(4), make_example(6)])
    assert found.model_dump() == {  # type: ignore[attr-defined]
        "num_rows": 2,
        "num_too_long": 0,
        "limit": 10,
        "longest": 6,
        "num_tokens": 10,
        "num_loss_tokens": 4,
    }


def test_rows_too_long_within_the_allowed_share_are_left_out_and_counted() -> None:
    examples = [make_example(4)] * 3 + [make_example(11)]
    found = check(examples, share=0.25)
    assert (found.num_too_long, found.num_tokens) == (1, 12)  # type: ignore[attr-defined]
    assert len(select_short(examples, limit=10)) == 3


@pytest.mark.parametrize(
    ("examples", "share", "reason", "want"),
    [
        (
            [],
            0.01,
            "NoTrainingRows",
            "arm Vanilla: needs training rows, got 0; look at curate's drop report",
        ),
        (
            [make_example(4)] * 3 + [make_example(11)],
            0.24,
            "TooManyTruncated",
            "training.maxLength: Vanilla has 1 of 4 rows longer than 10 tokens (maxTruncatedShare "
            "0.24), got a row of 11; raise maxLength, or shorten the rows",
        ),
        (
            [make_example(11)],
            1.0,
            "TooManyTruncated",
            "training.maxLength: Vanilla has 1 of 1 rows longer than 10 tokens (maxTruncatedShare "
            "1), got a row of 11; raise maxLength, or shorten the rows",
        ),
        (
            [make_example(4), make_example(4, mask=[0, 0, 0, 0])],
            0.01,
            "NoLossTokens",
            "arm Vanilla: each row needs a token that bears loss, got one without; "
            "let the assistant speak in it",
        ),
        (
            [make_example(4, mask=[0, 0, 1, 0])],
            0.01,
            "EndOfTurnUntrained",
            "arm Vanilla: the token that ends a turn (9) must bear loss, got a row where it "
            "doesn't, so the student would never stop; use another chat template",
        ),
    ],
    ids=["no rows", "too long", "all too long", "no loss", "end of turn"],
)
def test_bad_rows_stop_the_training(
    examples: list[TrainingExample], share: float, reason: str, want: str
) -> None:
    with pytest.raises(SpecError, match=f"^{re.escape(want)}$") as caught:
        check(examples, share=share)
    assert caught.value.reason == reason


def test_another_template_than_the_pinned_one_stops_the_training() -> None:
    pin = PinnedModel(uri="file:///m", digest="d", template_hash="a" * 64)
    check_template(pin, "a" * 64)
    want = (
        "model: the chat template must stay as prepare found it (aaaaaaaaaaaa), got bbbbbbbbbbbb; "
        "run the job again, it will pin the new one"
    )
    with pytest.raises(SpecError, match=f"^{re.escape(want)}$"):
        check_template(pin, "b" * 64)
