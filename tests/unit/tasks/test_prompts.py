"""What each task says to a model: vanilla chats, advanced prompts, the job's own words."""

from typing import Any

import pytest

from distillery.errors import InvariantError, SpecError
from distillery.tasks import TASK_FACTS, PromptVariant, TargetKind, TaskName
from ray_jobs.records import GoldRow, Message, PromptRow, RowStatus
from ray_jobs.tasks.base import Choice, Columns, Parsed
from tests.unit.tasks.task_builders import NLI_LABELS, build_chat, build_row, build_task

CHOICES = (Choice(label="A", text="ignore"), Choice(label="B", text="enforce"))
COLUMNS = {
    TaskName.NLI: Columns(premise="It rains.", hypothesis="It is wet."),
    TaskName.NLU_QA: Columns(question="What now?", choices=CHOICES),
    TaskName.MATH: Columns(user="What is 3 + 4?"),
    TaskName.SUMMARIZATION: Columns(user="Ada Byron wrote a note."),
}
ADVANCED = {
    TaskName.NLI: PromptVariant.CHAIN_OF_THOUGHT,
    TaskName.NLU_QA: PromptVariant.CHAIN_OF_THOUGHT,
    TaskName.MATH: PromptVariant.CHAIN_OF_THOUGHT,
    TaskName.SUMMARIZATION: PromptVariant.CHAIN_OF_DENSITY,
}
OWN_ADVANCED = {
    PromptVariant.CHAIN_OF_THOUGHT: "chain_of_thought",
    PromptVariant.CHAIN_OF_DENSITY: "chain_of_density",
}
SINGLE = list(COLUMNS)


@pytest.mark.parametrize("name", SINGLE)
def test_columns_become_a_system_and_a_user_turn_with_nothing_left_to_fill(name: TaskName) -> None:
    messages = build_task(name).messages_from_columns(COLUMNS[name])

    assert [message.role for message in messages] == ["system", "user"]
    assert "{" not in messages[0].content + messages[1].content
    for text in ("premise", "hypothesis", "question", "user"):
        assert getattr(COLUMNS[name], text) in messages[1].content


def test_choices_are_listed_with_their_letters_and_name_the_labels() -> None:
    system, user = build_task(TaskName.NLU_QA).messages_from_columns(COLUMNS[TaskName.NLU_QA])

    assert "(A) ignore\n(B) enforce" in user.content
    assert system.content.endswith(": A, B.")


def test_definitions_stand_only_beside_the_usual_three_labels() -> None:
    columns = COLUMNS[TaskName.NLI]
    usual = build_task(TaskName.NLI).messages_from_columns(columns)
    own = build_task(TaskName.NLI, labels=("yes", "no")).messages_from_columns(columns)

    assert "contradiction" in usual[1].content
    assert "contradiction" not in own[1].content
    assert "yes, no" in own[1].content


@pytest.mark.parametrize(
    ("name", "columns", "want"),
    [
        pytest.param(TaskName.NLI, Columns(hypothesis="h"), "premise", id="premise"),
        pytest.param(TaskName.NLI, Columns(premise="p", hypothesis=" "), "hypothesis", id="blank"),
        pytest.param(TaskName.NLU_QA, Columns(choices=CHOICES), "question", id="question"),
        pytest.param(TaskName.NLU_QA, Columns(question="q"), "choices", id="choices"),
        pytest.param(TaskName.MATH, Columns(), "user", id="user"),
    ],
)
def test_an_empty_column_is_named(name: TaskName, columns: Columns, want: str) -> None:
    with pytest.raises(
        SpecError, match=f"^{want}: {name} needs text here, got an empty value; "
    ) as e:
        build_task(name).messages_from_columns(columns)
    assert e.value.reason == "EmptyColumn"


def test_the_jobs_own_words_are_used_and_braces_that_name_no_column_stay() -> None:
    task = build_task(TaskName.MATH, system='Say {"n"} only {user}.', user="Q: {user} {}")

    assert task.messages_from_columns(Columns(user="1 {labels}?")) == (
        Message(role="system", content='Say {"n"} only {user}.'),
        Message(role="user", content="Q: 1 {labels}? {}"),
    )


def test_an_empty_system_message_leaves_none() -> None:
    task = build_task(TaskName.MATH, system="", user="{user}")

    assert task.messages_from_columns(Columns(user="1?")) == build_chat("1?")
    assert task.vanilla_messages(build_chat("1?", system="Old.")) == build_chat("1?")


@pytest.mark.parametrize(
    ("own", "want"), [(None, "Old."), ("New.", "New.")], ids=["none_keeps", "own_replaces"]
)
def test_a_chat_row_keeps_its_system_message_unless_the_job_has_one(
    own: str | None, want: str
) -> None:
    task = build_task(TaskName.MATH, system=own)

    assert task.vanilla_messages(build_chat("1?", system="Old.")) == build_chat("1?", system=want)


@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.parametrize(
    "messages",
    [
        (),
        build_chat("q", "a"),
        (Message(role="user", content="q"), Message(role="system", content="s")),
        (Message(role="tool", content="q"),),
    ],
    ids=["none", "assistant_turn", "system_last", "foreign_role"],
)
def test_a_single_turn_row_in_another_order_is_refused(
    name: TaskName, messages: tuple[Message, ...]
) -> None:
    with pytest.raises(SpecError, match=f"^messages: {name} takes one user turn, got roles") as e:
        build_task(name).vanilla_messages(messages)
    assert e.value.reason == "WrongRoles"
    assert len(str(e.value)) <= 256


@pytest.mark.parametrize(
    "messages",
    [
        (),
        (Message(role="system", content="s"),),
        (Message(role="assistant", content="a"),),
        (*build_chat("q"), *build_chat("q")),
        (*build_chat("q", "a"), Message(role="system", content="s")),
    ],
    ids=["none", "system_alone", "assistant_first", "user_twice", "system_last"],
)
def test_a_dialogue_out_of_turn_is_refused(messages: tuple[Message, ...]) -> None:
    with pytest.raises(
        SpecError, match=r"^messages: CONVERSATION takes user and assistant in turn, got roles"
    ) as e:
        build_task(TaskName.CONVERSATION).vanilla_messages(messages)
    assert e.value.reason == "WrongRoles"


@pytest.mark.parametrize("name", list(TaskName))
def test_a_blank_user_turn_is_refused(name: TaskName) -> None:
    with pytest.raises(SpecError, match=r"^messages: user turn has no text, got a blank message 2"):
        build_task(name).vanilla_messages(build_chat(" ", system="s"))


@pytest.mark.parametrize("name", SINGLE)
def test_the_advanced_prompt_replaces_the_system_message_alone(name: TaskName) -> None:
    row = PromptRow(
        row_id="r",
        split=build_row().split,
        messages=build_chat("allowed: entailment contradiction neutral (A) (B)", system="VANILLA"),
        labels=("A", "B") if name is TaskName.NLU_QA else (),
    )
    system, user = build_task(name).prompt(row, ADVANCED[name])

    assert system.role == "system"
    assert "VANILLA" not in system.content
    assert "JSON" in system.content
    assert "{max" not in system.content
    assert user == row.messages[1]
    assert build_task(name).prompt(row, PromptVariant.VANILLA) == row.messages


@pytest.mark.parametrize("name", SINGLE)
def test_the_jobs_own_advanced_prompt_is_used_word_for_word(name: TaskName) -> None:
    own = "Think {max_reason_words} {user} then JSON."
    row = build_row("entailment or not")
    prompts: dict[str, Any] = {OWN_ADVANCED[ADVANCED[name]]: own}
    task = build_task(name, **prompts)

    assert task.prompt(row, ADVANCED[name])[0] == Message(role="system", content=own)


@pytest.mark.parametrize(
    ("labels", "user", "want"),
    [
        pytest.param(NLI_LABELS, "P and H", True, id="words_missing"),
        pytest.param(NLI_LABELS, "Entailment, contradiction, neutral: P", False, id="words_there"),
        pytest.param(NLI_LABELS, "entailment, contradictions, neutral", True, id="part_of_a_word"),
        pytest.param(("A", "B"), "A man and B", True, id="letters_in_prose"),
        pytest.param(("A", "B"), "(A) x\n(B) y", False, id="bracketed_letters"),
        pytest.param(("A", "B"), "'A' or 'B'", False, id="quoted_letters"),
    ],
)
def test_labels_are_added_to_the_user_turn_where_they_stand_nowhere(
    labels: tuple[str, ...], user: str, want: bool
) -> None:
    name = TaskName.NLI if labels == NLI_LABELS else TaskName.NLU_QA
    row = build_row(user, labels=labels)

    sent = build_task(name).prompt(row, PromptVariant.CHAIN_OF_THOUGHT)[1].content

    added = f"{user}\n\nAllowed answers: {', '.join(labels)}"
    assert sent == (added if want else user)


@pytest.mark.parametrize(
    ("name", "variant", "want"),
    [
        (TaskName.CONVERSATION, PromptVariant.CHAIN_OF_THOUGHT, "use Vanilla$"),
        (TaskName.SUMMARIZATION, PromptVariant.CHAIN_OF_THOUGHT, "use Vanilla or ChainOfDensity$"),
        (TaskName.MATH, PromptVariant.CHAIN_OF_DENSITY, "use Vanilla or ChainOfThought$"),
    ],
)
def test_a_prompt_the_task_has_not_is_refused(
    name: TaskName, variant: PromptVariant, want: str
) -> None:
    match = f"^spec.teacher.prompts: {name} has no such prompt, got {variant}; {want}"
    with pytest.raises(SpecError, match=match):
        build_task(name).prompt(build_row(), variant)


def test_a_single_turn_task_takes_no_earlier_replies() -> None:
    with pytest.raises(InvariantError, match=r"^r1: MATH has one turn, got earlier replies$"):
        build_task(TaskName.MATH).prompt(build_row(), PromptVariant.VANILLA, ["7"])


DIALOGUE = build_row("u1", "RECORDED1", "u2", "RECORDED2", system="s")


def test_each_turn_of_a_dialogue_is_asked_on_the_models_own_history() -> None:
    task = build_task(TaskName.CONVERSATION)

    assert task.num_turns(DIALOGUE) == 2
    assert task.prompt(DIALOGUE, PromptVariant.VANILLA) == build_chat("u1", system="s")
    assert task.prompt(DIALOGUE, PromptVariant.VANILLA, ["mine"]) == build_chat(
        "u1", "mine", "u2", system="s"
    )
    with pytest.raises(InvariantError, match=r"^r1: no turn left to answer, got 2 replies$"):
        task.prompt(DIALOGUE, PromptVariant.VANILLA, ["a", "b"])


def test_targets_take_the_place_of_recorded_turns() -> None:
    task = build_task(TaskName.CONVERSATION)

    assert task.target_messages(DIALOGUE, ["a", "b"]) == build_chat(
        "u1", "a", "u2", "b", system="s"
    )
    assert task.target_messages(DIALOGUE, ["a"]) == build_chat("u1", "a", system="s")
    for wrong in ([], ["a", "b", "c"]):
        with pytest.raises(InvariantError, match=f"one at least, got {len(wrong)}$"):
            task.target_messages(DIALOGUE, wrong)


def test_a_dialogue_that_ends_with_the_user_has_a_turn_more() -> None:
    row = build_row("u1", "a1", "u2")

    assert build_task(TaskName.CONVERSATION).num_turns(row) == 2


def test_the_target_follows_the_vanilla_chat() -> None:
    row = build_row("q", system="VANILLA")
    task = build_task(TaskName.MATH)

    assert task.target_messages(row, ["7"]) == build_chat("q", "7", system="VANILLA")
    with pytest.raises(InvariantError, match=r"^r1: MATH has one target, got 2$"):
        task.target_messages(row, ["7", "8"])


@pytest.mark.parametrize(
    ("name", "labels", "prompts", "want"),
    [
        pytest.param(
            TaskName.MATH,
            ("1", "2"),
            {},
            "^spec.prompts.labels: MATH has no label space, got 2 labels; leave them out$",
            id="labels_for_math",
        ),
        pytest.param(
            TaskName.NLI,
            ("a",),
            {},
            "^spec.prompts.labels: too few, got 1; give at least two labels$",
            id="one_label",
        ),
        pytest.param(
            TaskName.NLI,
            ("Yes", "yes."),
            {},
            "^spec.prompts.labels: equal but for case, quotes or full stop, got 'Yes' and 'yes.'; ",
            id="equal_labels",
        ),
        pytest.param(
            TaskName.NLI,
            ("yes", " "),
            {},
            "^spec.prompts.labels: a label without text, got ' '; ",
            id="blank_label",
        ),
        pytest.param(
            TaskName.MATH,
            (),
            {"user": "Q: {q}"},
            r"^spec.prompts.user: unknown column, got \{q\}; use \{user\}, \{premise\}",
            id="unknown_column",
        ),
        pytest.param(
            TaskName.MATH,
            (),
            {"user": "What?"},
            "^spec.prompts.user: names no column, got fixed text; use ",
            id="no_column",
        ),
    ],
)
def test_options_that_can_not_work_are_refused(
    name: TaskName, labels: tuple[str, ...], prompts: dict[str, Any], want: str
) -> None:
    with pytest.raises(SpecError, match=want) as e:
        build_task(name, labels=labels, **prompts)
    assert len(str(e.value)) <= 256


def test_a_dialogue_comes_as_messages_only() -> None:
    with pytest.raises(
        SpecError, match=r"^messages: CONVERSATION needs a column of chat messages, "
    ):
        build_task(TaskName.CONVERSATION).messages_from_columns(Columns(user="hi"))


@pytest.mark.parametrize("name", list(TaskName))
def test_the_prompt_hash_changes_with_the_words_alone(name: TaskName) -> None:
    task = build_task(name)

    assert task.prompt_hash == build_task(name).prompt_hash
    assert task.prompt_hash != build_task(name, system="Other.").prompt_hash
    assert len(task.prompt_hash) == 64


def test_the_hashes_of_different_tasks_differ() -> None:
    assert len({build_task(name).prompt_hash for name in TaskName}) == len(TaskName)


@pytest.mark.parametrize("name", list(TaskName))
def test_a_marker_planted_in_gold_is_in_no_prompt_constraint_or_teacher_target(
    name: TaskName,
) -> None:
    marker = "GOLDMARKER"
    task = build_task(name)
    gold = GoldRow(row_id="r1", gold=marker)
    row = build_row("u1", labels=TASK_FACTS[name].default_labels)
    parsed = Parsed(status=RowStatus.OK, answer="A", reason="because")
    texts: list[object] = []
    for variant in TASK_FACTS[name].variants:
        texts += [task.prompt(row, variant), task.constraint(row, variant)]
    texts.append(task.target_messages(row, [task.target_text(parsed, TargetKind.ANSWER_ONLY)]))
    if name in COLUMNS:
        texts.append(task.messages_from_columns(COLUMNS[name]))
    if name is not TaskName.CONVERSATION:
        texts.append(task.score(parsed, row, gold).parsed)

    assert marker not in repr(texts)


def test_recorded_assistant_turns_are_in_no_prompt_and_no_target() -> None:
    task = build_task(TaskName.CONVERSATION)
    sent = [
        task.prompt(DIALOGUE, PromptVariant.VANILLA),
        task.prompt(DIALOGUE, PromptVariant.VANILLA, ["a"]),
        task.target_messages(DIALOGUE, ["a", "b"]),
    ]

    assert "RECORDED" not in repr(sent)
