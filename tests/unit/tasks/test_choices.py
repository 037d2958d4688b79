"""NLU_QA's choices: their letters, how they are found in a chat, and equal ones."""

import pytest

from distillery.errors import SpecError
from distillery.tasks import TaskName
from ray_jobs.tasks.base import Choice, Columns
from ray_jobs.tasks.nlu_qa import accepted_answers, label_choices, parse_choices
from tests.unit.tasks.task_builders import build_chat, build_task

LABELS = ("A", "B", "C")


def _choices(*texts: str) -> tuple[Choice, ...]:
    return tuple(
        Choice(label=label, text=text) for label, text in zip("ABCDE", texts, strict=False)
    )


def test_choices_without_letters_get_the_labels_in_order() -> None:
    bare = (Choice(label="", text="x"), Choice(label="", text="y"))

    assert label_choices(bare, LABELS) == _choices("x", "y")


@pytest.mark.parametrize(
    ("choices", "want"),
    [
        (_choices("x"), "^choices: a question takes 2 to 3 of them, got 1; "),
        (_choices("x", "y", "z", "w"), "^choices: a question takes 2 to 3 of them, got 4; "),
        (
            (Choice(label="F", text="x"), Choice(label="A", text="y")),
            "^choices: a letter outside the labels, got 'F'; use A, B, C, or set spec.prompts.labels$",
        ),
        (
            (Choice(label="A", text="x"), Choice(label="a", text="y")),
            "^choices: a letter stands twice, got A, A; give each its own$",
        ),
        (_choices("x", " "), "^choices: choice B has no text, got a blank; fill it in$"),
    ],
    ids=["too_few", "too_many", "foreign_letter", "letter_twice", "blank"],
)
def test_choices_that_can_not_be_asked_are_refused(choices: tuple[Choice, ...], want: str) -> None:
    with pytest.raises(SpecError, match=want):
        label_choices(choices, LABELS)


@pytest.mark.parametrize(
    ("user", "want"),
    [
        pytest.param("Q?\n(A) x\n(B) y z ", _choices("x", "y z"), id="block"),
        pytest.param("Q? (A) x (B) y", (), id="in_one_line"),
        pytest.param("(A) x", (), id="only_one"),
        pytest.param("(B) x\n(C) y", (), id="not_from_the_start"),
        pytest.param("(A) x\n(C) y", (), id="gap"),
        pytest.param("(A) x\nor\n(B) y", (), id="line_between"),
        pytest.param("(A) x\n(B) y\nQ?\n(A) z\n(B) w", (), id="two_blocks"),
    ],
)
def test_choices_are_read_out_of_a_chat_only_without_doubt(
    user: str, want: tuple[Choice, ...]
) -> None:
    assert parse_choices(build_chat(user, system="(A) no\n(B) no")) == want


@pytest.mark.parametrize(
    ("gold", "choices", "want"),
    [
        ("A", _choices("Red  car", "blue", "red car"), ("C",)),
        ("B", _choices("red", "blue", "red"), ()),
        ("E", _choices("red", "red"), ()),
        ("A", (), ()),
    ],
    ids=["equal_text", "gold_is_unique", "gold_not_shown", "no_choices"],
)
def test_a_choice_with_the_gold_choices_text_is_as_right(
    gold: str, choices: tuple[Choice, ...], want: tuple[str, ...]
) -> None:
    assert accepted_answers(gold, choices) == want


@pytest.mark.parametrize(
    ("columns", "user", "want"),
    [
        pytest.param(Columns(choices=_choices("x", "y")), "q", ("A", "B"), id="columns"),
        pytest.param(None, "Q?\n(A) x\n(B) y", ("A", "B"), id="chat"),
        pytest.param(None, "Q?", LABELS, id="chat_shows_none"),
        pytest.param(None, "Q?\n(1) x\n(2) y", LABELS, id="chat_shows_others"),
    ],
)
def test_a_rows_labels_are_the_letters_of_its_own_choices(
    columns: Columns | None, user: str, want: tuple[str, ...]
) -> None:
    task = build_task(TaskName.NLU_QA, labels=LABELS)

    assert task.row_labels(columns, build_chat(user)) == want


def test_tasks_other_than_qa_take_the_jobs_labels_or_none() -> None:
    assert build_task(TaskName.NLI, labels=("x", "y")).row_labels(None, ()) == ("x", "y")
    for name in (TaskName.MATH, TaskName.SUMMARIZATION, TaskName.CONVERSATION):
        assert build_task(name).row_labels(None, ()) == ()
