"""Raw rows to prepared ones: mapping, checks, gold kept apart, identity."""

from typing import Any

import pytest

from distillery.errors import SpecError
from distillery.tasks import TaskName
from ray_jobs.prepare.rows import cut_words
from tests.rows import make_draft


def chat(*turns: tuple[str, str]) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": content} for role, content in turns]}


def test_columns_become_a_vanilla_chat_without_gold() -> None:
    draft = make_draft({"q": "1+1?", "a": 12345.0}, user="q", gold="a")

    assert draft.gold is not None
    assert draft.gold.gold == "12345"
    assert draft.gold.row_id == draft.prompt.row_id
    assert "1+1?" in draft.prompt.messages[-1].content
    assert not any("12345" in message.content for message in draft.prompt.messages)


def test_dotted_names_reach_into_nested_values_and_lists() -> None:
    draft = make_draft(
        {"sQuestion": "1+1?", "lSolutions": [2.0]}, user="sQuestion", gold="lSolutions.0"
    )

    assert draft.gold is not None
    assert draft.gold.gold == "2"


@pytest.mark.parametrize(
    "choices",
    [
        pytest.param(["here", "there"], id="texts"),
        pytest.param(
            [{"label": "A", "text": "here"}, {"label": "B", "text": "there"}], id="objects"
        ),
        pytest.param({"label": ["A", "B"], "text": ["here", "there"]}, id="as on the hub"),
        pytest.param('["here", "there"]', id="JSON in a cell"),
    ],
)
def test_choices_come_in_several_forms(choices: object) -> None:
    draft = make_draft(
        {"q": "Where?", "c": choices, "g": "B"},
        task=TaskName.NLU_QA,
        question="q",
        choices="c",
        gold="g",
    )

    assert draft.prompt.labels == ("A", "B")
    assert "(B) there" in draft.prompt.messages[-1].content
    assert draft.gold is not None
    assert draft.gold.gold == "B"


def test_question_and_choices_may_be_nested() -> None:
    values = {
        "question": {
            "stem": "Where?",
            "choices": [{"label": "A", "text": "here"}, {"label": "B", "text": "there"}],
        },
        "key": "b",
    }

    draft = make_draft(
        values,
        task=TaskName.NLU_QA,
        question="question.stem",
        choices="question.choices",
        gold="key",
    )

    assert draft.gold is not None
    assert draft.gold.gold == "B"


def test_two_choices_with_the_gold_text_are_both_accepted() -> None:
    values = {"q": "Where?", "c": ["here", "there", "Here "], "g": "A"}

    draft = make_draft(values, task=TaskName.NLU_QA, question="q", choices="c", gold="g")

    assert draft.gold is not None
    assert draft.gold.accepted == ("C",)


def test_accepted_choices_are_found_in_a_chat_too() -> None:
    values = chat(("user", "Where?\n(A) here\n(B) there\n(C) here")) | {"g": "C"}

    draft = make_draft(values, task=TaskName.NLU_QA, gold="g")

    assert draft.gold is not None
    assert draft.gold.accepted == ("A",)


def test_rows_with_one_premise_share_a_group() -> None:
    one, two, other = (
        make_draft({"p": p, "h": h}, task=TaskName.NLI, premise="p", hypothesis="h")
        for p, h in (("It  rains", "x"), ("it rains", "y"), ("sun", "x"))
    )

    assert one.prompt.group == two.prompt.group
    assert len({one.prompt.group, other.prompt.group, one.prompt.row_id}) == 3


def test_row_without_group_stands_alone() -> None:
    draft = make_draft(chat(("user", "1+1?")))

    assert draft.prompt.group == draft.prompt.row_id


def test_identity_is_the_users_words() -> None:
    first = make_draft(chat(("system", "s"), ("user", "One  plus ONE?")), number=1)
    same = make_draft(
        chat(("system", "t"), ("user", "one plus one? ")) | {"a": "3"}, number=9, gold="a"
    )
    other = make_draft(chat(("user", "one plus two?")))

    assert first.key == same.key
    assert first.prompt.row_id == same.prompt.row_id
    assert len(first.prompt.row_id) == 16
    assert other.prompt.row_id != first.prompt.row_id


def test_recorded_replies_are_no_part_of_a_dialogues_identity() -> None:
    one, two = (
        make_draft(
            chat(("user", "hi"), ("assistant", reply), ("user", "more")), task=TaskName.CONVERSATION
        )
        for reply in ("hello", "good day")
    )

    assert one.key == two.key


def test_articles_are_cut_in_the_user_turn_and_counted() -> None:
    article = "one  two\nthree four five"
    column = make_draft({"t": article}, task=TaskName.SUMMARIZATION, user="t", max_words=3)
    row = make_draft(
        chat(("system", "a b c d e"), ("user", article)), task=TaskName.SUMMARIZATION, max_words=3
    )

    assert column.prompt.num_words_cut == row.prompt.num_words_cut == 2
    assert row.prompt.messages[-1].content == "one  two\nthree"
    assert "four" not in column.prompt.messages[-1].content
    assert row.prompt.messages[0].content == "a b c d e"
    assert cut_words("one two", 2) == ("one two", 0)


@pytest.mark.parametrize(
    ("values", "options", "want"),
    [
        pytest.param(
            {"a": 1, "b": 2},
            {"user": "q"},
            "no column 'q', got a, b; map the right one with dataset fields",
            id="missing column",
        ),
        pytest.param(
            {"a": 1, "b": 2},
            {},
            "no column 'messages', got a, b; map the right one with dataset fields",
            id="nothing mapped",
        ),
        pytest.param(
            {"q": ["x"]},
            {"user": "q"},
            "q: must be text or a number, got list; name its inner key",
            id="nested text",
        ),
        pytest.param(
            {"messages": []},
            {},
            "messages: must be a list of messages, got an empty list; see the chat format",
            id="no messages",
        ),
        pytest.param(
            {"messages": ["x"]},
            {},
            "messages[0]: must be an object, got str; give role and content",
            id="no object",
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": None}]},
            {},
            "messages[0].content: must be text, got nothing; mend it",
            id="no content",
        ),
        pytest.param(
            {"messages": "{"},
            {},
            "messages: must be JSON in a cell, got 'Expecting property name enclosed in double "
            "quotes'; mend the cell",
            id="cell",
        ),
        pytest.param(
            chat(("user", "x"), ("assistant", "y")),
            {},
            "messages: MATH takes one user turn, got roles [user, assistant]",
            id="wrong roles",
        ),
        pytest.param(
            {"q": "1+1?", "a": "many"},
            {"user": "q", "gold": "a"},
            "gold: ",
            id="no number",
        ),
        pytest.param(
            {"p": "x", "h": "y", "l": "maybe"},
            {"task": TaskName.NLI, "premise": "p", "hypothesis": "h", "gold": "l"},
            "gold: not one of the labels, got 'maybe'; use entailment, contradiction, neutral",
            id="label outside",
        ),
        pytest.param(
            {"q": "x", "c": {"label": ["A"], "text": ["a", "b"]}},
            {"task": TaskName.NLU_QA, "question": "q", "choices": "c"},
            "c: must have as many labels as texts, got others; mend the row",
            id="uneven choices",
        ),
        pytest.param(
            {"q": "x", "c": 7},
            {"task": TaskName.NLU_QA, "question": "q", "choices": "c"},
            "c: must be a list of choices, got int; give texts in a list",
            id="no choices",
        ),
    ],
)
def test_bad_row_is_told(values: dict[str, Any], options: dict[str, Any], want: str) -> None:
    with pytest.raises(SpecError) as caught:
        make_draft(values, **options)

    assert caught.value.message.startswith(want)


@pytest.mark.parametrize("gold", [None, "", "  "])
def test_row_without_gold_is_refused_only_where_gold_is_needed(gold: str | None) -> None:
    values = {"q": "1+1?", "a": gold}

    assert make_draft(values, user="q", gold="a").gold is None
    with pytest.raises(
        SpecError,
        match=r"gold: train needs ground truth in every row, got none; "
        r"name its column in dataset.train.fields.gold",
    ):
        make_draft(values, user="q", gold="a", needs_gold=True)
