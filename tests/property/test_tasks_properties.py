"""Laws of the tasks: reading is total, targets read back, schemas and parsers agree."""

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery.tasks import TASK_FACTS, PromptVariant, TargetKind, TaskName
from ray_jobs.engines.base import FinishReason
from ray_jobs.records import Message, PromptRow, RowStatus, Split
from ray_jobs.tasks.base import Parsed, Task
from ray_jobs.tasks.entities import entity_density
from ray_jobs.tasks.numbers import normalise_number
from ray_jobs.tasks.text_metrics import novelty, repetition
from tests.unit.tasks.task_builders import NLI_LABELS, build_row, build_task

LETTERS = ("A", "B", "C", "D", "E")
STOP = FinishReason.STOP
COT = PromptVariant.CHAIN_OF_THOUGHT

any_text = st.text(st.characters(exclude_categories=()), max_size=80)
clean_text = st.text(st.characters(codec="utf-8"), max_size=80)
json_like = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=6,
).map(json.dumps)
numbers = st.from_regex(r"\A-?[0-9]{1,15}(\.[0-9]{1,10})?\Z")
texts = any_text | json_like | numbers
TASKS = {name: build_task(name, density_rounds=2) for name in TaskName}


def _row(name: TaskName) -> PromptRow:
    labels = {TaskName.NLI: NLI_LABELS, TaskName.NLU_QA: LETTERS}.get(name, ())
    return build_row("Article: Ada Byron wrote a note.", labels=labels)


@given(text=texts, finish=st.sampled_from(FinishReason), name=st.sampled_from(TaskName))
def test_reading_never_raises_and_only_ok_has_an_answer(
    text: str, finish: FinishReason, name: TaskName
) -> None:
    task, row = TASKS[name], _row(name)
    kinds = [TargetKind.ANSWER_ONLY]
    if name is not TaskName.CONVERSATION:
        kinds.append(TargetKind.REASON_THEN_ANSWER)
    results = [task.parse_student(text, row, kind, finish) for kind in kinds]
    results += [task.parse_teacher(text, row, v, finish) for v in TASK_FACTS[name].variants]
    for parsed in results:
        assert bool(parsed.answer) == (parsed.status is RowStatus.OK)
        assert parsed.detail or parsed.status is RowStatus.OK
        (parsed.answer + parsed.reason).encode()
        if finish is not STOP:
            assert parsed.status in (RowStatus.TRUNCATED, RowStatus.ERROR)


@st.composite
def _readable(draw: st.DrawFn) -> tuple[TaskName, Parsed]:
    """A task with an answer as its parser would give it."""
    name = draw(st.sampled_from(sorted(TASKS)))
    match name:
        case TaskName.NLI:
            answer = draw(st.sampled_from(NLI_LABELS))
        case TaskName.NLU_QA:
            answer = draw(st.sampled_from(LETTERS))
        case TaskName.MATH:
            answer = normalise_number(draw(numbers)) or ""
        case _:
            answer = "The " + draw(clean_text).strip() + "."
    reason = "" if name is TaskName.CONVERSATION else draw(clean_text)
    return name, Parsed(status=RowStatus.OK, answer=answer, reason=reason)


@given(case=_readable())
def test_a_target_reads_back_as_what_it_was_made_of(case: tuple[TaskName, Parsed]) -> None:
    name, parsed = case
    task, row = TASKS[name], _row(name)
    bare = task.target_text(parsed, TargetKind.ANSWER_ONLY)

    read = task.parse_student(bare, row, TargetKind.ANSWER_ONLY, STOP)

    assert read == Parsed(status=RowStatus.OK, answer=parsed.answer)
    if name is not TaskName.CONVERSATION:
        whole = task.target_text(parsed, TargetKind.REASON_THEN_ANSWER)
        assert task.parse_student(whole, row, TargetKind.REASON_THEN_ANSWER, STOP) == parsed


def _fits_schema(document: Any, task: Task, row: PromptRow, variant: PromptVariant) -> bool:
    constraint = task.constraint(row, variant)
    assert constraint is not None
    assert constraint.json_schema is not None
    jsonschema.Draft202012Validator.check_schema(constraint.json_schema)
    return bool(jsonschema.Draft202012Validator(constraint.json_schema).is_valid(document))


keys = st.sampled_from(["reason", "answer", "note"])
values: st.SearchStrategy[Any] = st.sampled_from(
    [*NLI_LABELS, *LETTERS, "20", "-1.5", "maybe", "1e9", "", None, True, []]
)


@pytest.mark.parametrize("name", [TaskName.NLI, TaskName.NLU_QA, TaskName.MATH])
@given(document=st.dictionaries(keys, values, max_size=3), text=clean_text)
def test_what_the_schema_accepts_the_parser_accepts_and_the_other_way_round(
    name: TaskName, document: dict[str, object], text: str
) -> None:
    task, row = TASKS[name], _row(name)
    if "reason" in document:
        document["reason"] = text
    parsed = task.parse_teacher(json.dumps(document), row, COT, STOP)
    is_ok = parsed.status is RowStatus.OK
    # The parser reads some more spellings ("1e9"); as it writes them itself, the schema takes them.
    if is_ok:
        document["answer"] = parsed.answer

    assert _fits_schema(document, task, row, COT) == is_ok


round_entry = st.fixed_dictionaries(
    {
        "missing_entities": st.lists(clean_text.filter(len), min_size=1, max_size=3),
        "denser_summary": clean_text.filter(lambda text: text.strip()),
    }
)


@given(rounds=st.lists(round_entry, max_size=4), has_extra=st.booleans())
def test_rounds_pass_the_schema_exactly_where_they_are_read(
    rounds: list[dict[str, object]], has_extra: bool
) -> None:
    task, row = TASKS[TaskName.SUMMARIZATION], _row(TaskName.SUMMARIZATION)
    for entry in rounds:
        entry["missing_entities"] = [str(e)[:60] for e in entry["missing_entities"]]  # type: ignore[attr-defined]
        if has_extra:
            entry["note"] = "x"
    variant = PromptVariant.CHAIN_OF_DENSITY
    parsed = task.parse_teacher(json.dumps(rounds), row, variant, STOP)

    assert _fits_schema(rounds, task, row, variant) == (parsed.status is RowStatus.OK)


@given(text=clean_text)
def test_a_normal_number_is_its_own_normal_form(text: str) -> None:
    number = normalise_number(text)
    if number is not None:
        assert normalise_number(number) == number


@given(value=st.integers(-(10**15), 10**15), places=st.integers(0, 8))
def test_all_spellings_of_a_number_are_one(value: int, places: int) -> None:
    sign = "-" if value < 0 else ""
    whole = f"{abs(value):,}"
    want = str(value)
    assert normalise_number(want) == want
    assert normalise_number(sign + whole) == want
    assert normalise_number(f"{sign}${whole}.{'0' * places}" if places else want) == want
    assert normalise_number(f"{value} apples.") == want


@given(summary=clean_text, article=clean_text)
def test_shares_stay_between_zero_and_one(summary: str, article: str) -> None:
    assert 0 <= novelty(summary, article) <= 1
    assert 0 <= repetition(summary) <= 1
    assert entity_density(summary, article) >= 0


@given(
    turns=st.lists(clean_text.filter(lambda text: text.strip()), min_size=1, max_size=7),
    system=clean_text,
    data=st.data(),
)
def test_every_turn_of_a_dialogue_is_asked_once_and_in_order(
    turns: list[str], system: str, data: st.DataObject
) -> None:
    task = TASKS[TaskName.CONVERSATION]
    roles = ("user", "assistant")
    messages = (
        *([Message(role="system", content=system)] if system else []),
        *(Message(role=roles[n % 2], content=turn) for n, turn in enumerate(turns)),
    )
    row = PromptRow(row_id="d", split=Split.TEST, messages=task.vanilla_messages(messages))
    replies = data.draw(
        st.lists(clean_text, min_size=task.num_turns(row), max_size=task.num_turns(row))
    )
    whole = task.target_messages(row, replies)

    for turn in range(task.num_turns(row)):
        sent = task.prompt(row, PromptVariant.VANILLA, replies[:turn])
        assert sent[-1].role == "user"
        assert whole[: len(sent)] == sent
        assert whole[len(sent)] == Message(role="assistant", content=replies[turn])
