"""How each task reads answers, builds targets and scores a row."""

import json
from typing import Any

import pytest

from distillery.errors import InvariantError, SpecError
from distillery.tasks import PromptVariant, TargetKind, TaskName
from ray_jobs.engines.base import Constraint, FinishReason
from ray_jobs.records import GoldRow, RowStatus
from ray_jobs.tasks.base import Parsed
from ray_jobs.tasks.parsing import FENCED
from tests.unit.tasks.task_builders import NLI_LABELS, build_prediction, build_row, build_task

COT = PromptVariant.CHAIN_OF_THOUGHT
COD = PromptVariant.CHAIN_OF_DENSITY
VANILLA = PromptVariant.VANILLA
STOP = FinishReason.STOP
LETTERS = ("A", "B", "C")
ROWS = {
    TaskName.NLI: build_row(labels=NLI_LABELS),
    TaskName.NLU_QA: build_row(labels=LETTERS),
    TaskName.MATH: build_row(),
    TaskName.SUMMARIZATION: build_row("Article: Ada Byron wrote a note in London."),
    TaskName.CONVERSATION: build_row("u1", "a1"),
}


def _cot(answer: object, reason: str = "because") -> str:
    return json.dumps({"reason": reason, "answer": answer})


def _cod(*summaries: str) -> str:
    return json.dumps([{"missing_entities": ["Ada"], "denser_summary": s} for s in summaries])


def _ok(answer: str, reason: str = "", detail: str = "") -> Parsed:
    return Parsed(status=RowStatus.OK, answer=answer, reason=reason, detail=detail)


@pytest.mark.parametrize(
    ("name", "variant", "text", "want"),
    [
        pytest.param(TaskName.NLI, VANILLA, "Neutral.", _ok("neutral"), id="nli"),
        pytest.param(TaskName.NLI, COT, _cot("Neutral"), _ok("neutral", "because"), id="nli_cot"),
        pytest.param(TaskName.NLU_QA, VANILLA, "(b)", _ok("B"), id="qa"),
        pytest.param(TaskName.NLU_QA, COT, _cot("B)"), _ok("B", "because"), id="qa_cot"),
        pytest.param(
            TaskName.NLU_QA,
            COT,
            f"```json\n{_cot('B')}\n```",
            _ok("B", "because", FENCED),
            id="qa_cot_fenced",
        ),
        pytest.param(TaskName.MATH, VANILLA, "1,234.0", _ok("1234"), id="math"),
        pytest.param(TaskName.MATH, COT, _cot("20 apples"), _ok("20", "because"), id="math_cot"),
        pytest.param(TaskName.MATH, COT, _cot(20.0), _ok("20", "because"), id="math_cot_number"),
        pytest.param(TaskName.SUMMARIZATION, VANILLA, " Ada wrote. ", _ok("Ada wrote."), id="sum"),
        pytest.param(
            TaskName.SUMMARIZATION,
            COD,
            _cod("one", "two"),
            _ok("two", "round 1 adds Ada: one\nround 2 adds Ada: two"),
            id="sum_cod",
        ),
        pytest.param(TaskName.CONVERSATION, VANILLA, " I can't. ", _ok("I can't."), id="chat"),
    ],
)
def test_a_teachers_answer_is_read(
    name: TaskName, variant: PromptVariant, text: str, want: Parsed
) -> None:
    assert build_task(name, density_rounds=2).parse_teacher(text, ROWS[name], variant, STOP) == want


@pytest.mark.parametrize(
    ("name", "variant", "text", "want"),
    [
        pytest.param(TaskName.NLI, VANILLA, "E", RowStatus.INVALID_LABEL, id="nli_foreign"),
        pytest.param(TaskName.NLU_QA, VANILLA, "D", RowStatus.INVALID_LABEL, id="letter_not_there"),
        pytest.param(
            TaskName.NLU_QA, COT, _cot(2), RowStatus.INVALID_LABEL, id="number_for_letter"
        ),
        pytest.param(TaskName.NLU_QA, COT, "B", RowStatus.UNPARSABLE, id="cot_without_json"),
        pytest.param(TaskName.NLU_QA, VANILLA, _cot("B"), RowStatus.UNPARSABLE, id="json_for_bare"),
        pytest.param(TaskName.MATH, VANILLA, "It is 20.", RowStatus.UNPARSABLE, id="math_talk"),
        pytest.param(TaskName.MATH, COT, _cot("3 or 4"), RowStatus.UNPARSABLE, id="math_two"),
        pytest.param(
            TaskName.MATH, VANILLA, "I cannot help.", RowStatus.REFUSED, id="math_refused"
        ),
        pytest.param(TaskName.SUMMARIZATION, COD, _cod("one"), RowStatus.UNPARSABLE, id="rounds"),
        pytest.param(
            TaskName.SUMMARIZATION,
            VANILLA,
            "I'm sorry, but I cannot summarize this.",
            RowStatus.REFUSED,
            id="sum_refused",
        ),
        pytest.param(
            TaskName.SUMMARIZATION,
            COD,
            _cod("one", "I cannot provide this."),
            RowStatus.REFUSED,
            id="refused_in_last_round",
        ),
    ],
)
def test_a_teachers_other_answers_are_rejected(
    name: TaskName, variant: PromptVariant, text: str, want: RowStatus
) -> None:
    parsed = build_task(name, density_rounds=2).parse_teacher(text, ROWS[name], variant, STOP)

    assert parsed.status is want
    assert parsed.answer == ""
    assert parsed.detail


@pytest.mark.parametrize("name", list(TaskName))
@pytest.mark.parametrize("finish", [FinishReason.LENGTH, FinishReason.CONTEXT])
def test_a_cut_answer_is_never_ok(name: TaskName, finish: FinishReason) -> None:
    task, text = build_task(name), {TaskName.NLI: "neutral", TaskName.NLU_QA: "A"}.get(name, "7")

    teacher = task.parse_teacher(text, ROWS[name], VANILLA, finish)
    student = task.parse_student(text, ROWS[name], TargetKind.ANSWER_ONLY, finish)

    assert teacher == student
    assert teacher.status is RowStatus.TRUNCATED
    assert task.parse_student(text, ROWS[name], TargetKind.ANSWER_ONLY, STOP).status is RowStatus.OK


def test_a_student_is_read_in_the_form_it_was_trained_to_give() -> None:
    task, row = build_task(TaskName.MATH), ROWS[TaskName.MATH]
    target = task.target_text(_ok("7", 'say "3+4"'), TargetKind.REASON_THEN_ANSWER)

    assert target == '{"reason": "say \\"3+4\\"", "answer": "7"}'
    read = task.parse_student(target, row, TargetKind.REASON_THEN_ANSWER, STOP)
    assert read == _ok("7", 'say "3+4"')
    bare = task.parse_student("7", row, TargetKind.REASON_THEN_ANSWER, STOP)
    assert bare.status is RowStatus.UNPARSABLE


@pytest.mark.parametrize("name", list(TaskName))
def test_no_target_is_made_of_a_rejected_answer(name: TaskName) -> None:
    with pytest.raises(InvariantError, match=f"^{name}: no target in an answer that is refused$"):
        build_task(name).target_text(Parsed(status=RowStatus.REFUSED), TargetKind.ANSWER_ONLY)


def test_a_dialogue_has_no_reason_to_train_on() -> None:
    task = build_task(TaskName.CONVERSATION)
    with pytest.raises(
        SpecError, match=r"^spec.students.target: CONVERSATION has no reason to train"
    ):
        task.target_text(_ok("hi"), TargetKind.REASON_THEN_ANSWER)


@pytest.mark.parametrize(
    ("name", "gold", "want"),
    [
        (TaskName.NLI, "Entailment", "entailment"),
        (TaskName.NLU_QA, "b", "B"),
        (TaskName.MATH, "39.0", "39"),
        (TaskName.SUMMARIZATION, " Ada wrote. ", "Ada wrote."),
    ],
)
def test_gold_is_brought_to_the_form_answers_have(name: TaskName, gold: str, want: str) -> None:
    task = build_task(name)

    assert task.check_gold(gold, ROWS[name].labels) == want
    assert task.gold_target(GoldRow(row_id="r1", gold=want)) == want


@pytest.mark.parametrize(
    ("name", "gold", "want"),
    [
        (
            TaskName.NLI,
            "maybe",
            "^gold: not one of the labels, got 'maybe'; use entailment, contradiction, neutral, or",
        ),
        (TaskName.NLU_QA, "D", "^gold: not one of the labels, got 'D'; use A, B, C, or set spec"),
        (TaskName.MATH, "many", "^gold: not a number, got 'many'; use digits such as 39 or -1.5$"),
        (TaskName.MATH, "x" * 400, r"^gold: not a number, got 'x{40}\.\.\.'; "),
        (TaskName.SUMMARIZATION, " ", "^gold: no reference summary, got a blank; fill it in or"),
        (
            TaskName.CONVERSATION,
            "hi",
            "^gold: CONVERSATION has no ground truth, got a gold column;",
        ),
    ],
)
def test_gold_that_is_no_answer_is_refused(name: TaskName, gold: str, want: str) -> None:
    with pytest.raises(SpecError, match=want) as e:
        build_task(name).check_gold(gold, ROWS[name].labels)
    assert e.value.reason == "InvalidLabel"
    assert len(str(e.value)) <= 256


def test_a_long_label_space_is_cut_in_the_message() -> None:
    labels = tuple(f"label{number}" * 6 for number in range(64))
    with pytest.raises(SpecError) as e:
        build_task(TaskName.NLI, labels=labels).check_gold("x" * 64, labels)
    assert len(str(e.value)) <= 256


def test_a_dialogue_has_no_gold_arm() -> None:
    with pytest.raises(InvariantError, match=r"^r1: CONVERSATION has no gold to train on$"):
        build_task(TaskName.CONVERSATION).gold_target(GoldRow(row_id="r1", gold="x"))


@pytest.mark.parametrize(
    ("name", "parsed", "gold", "want"),
    [
        pytest.param(
            TaskName.NLI, _ok("neutral"), GoldRow(row_id="r1", gold="neutral"), 1.0, id="right"
        ),
        pytest.param(
            TaskName.NLI, _ok("neutral"), GoldRow(row_id="r1", gold="entailment"), 0.0, id="wrong"
        ),
        pytest.param(
            TaskName.NLU_QA,
            _ok("B"),
            GoldRow(row_id="r1", gold="A", accepted=("B",)),
            1.0,
            id="equal_choice",
        ),
        pytest.param(
            TaskName.NLI,
            Parsed(status=RowStatus.TRUNCATED),
            GoldRow(row_id="r1", gold=""),
            0.0,
            id="unparsable_is_wrong",
        ),
        pytest.param(TaskName.MATH, _ok("20"), GoldRow(row_id="r1", gold="20"), 1.0, id="number"),
    ],
)
def test_a_row_is_right_or_wrong(
    name: TaskName, parsed: Parsed, gold: GoldRow, want: float
) -> None:
    task = build_task(name)

    assert task.score(parsed, ROWS[name], gold).scores == {task.primary_metric: want}


@pytest.mark.parametrize("name", [TaskName.NLI, TaskName.NLU_QA, TaskName.MATH])
def test_a_row_without_gold_is_our_bug(name: TaskName) -> None:
    with pytest.raises(InvariantError, match=f"^r1: {name} can't be scored without gold$"):
        build_task(name).score(_ok("A"), ROWS[name], None)


def test_a_summary_is_measured_and_its_excess_length_recorded_not_rejected() -> None:
    task, row = (
        build_task(TaskName.SUMMARIZATION, max_summary_words=5),
        ROWS[TaskName.SUMMARIZATION],
    )
    summary = "Ada Byron wrote it in London"
    gold = GoldRow(row_id="r1", gold=summary)

    with_gold = task.score(_ok(summary), row, gold).scores
    without = task.score(_ok(summary), row, None).scores

    assert without == {
        "entity_density": pytest.approx(2 / 6),
        "num_words": 6.0,
        "length_violation": 1.0,
        "novelty": pytest.approx(2 / 5),
    }
    assert with_gold == {**without, "rouge1": 1.0, "rouge2": 1.0, "rougeL": 1.0}
    assert task.score(_ok("Ada Byron"), row, None).scores["length_violation"] == 0.0


def test_a_rejected_summary_scores_zero_and_has_no_length() -> None:
    task, row = build_task(TaskName.SUMMARIZATION), ROWS[TaskName.SUMMARIZATION]

    scored = task.score(Parsed(status=RowStatus.REFUSED), row, None)

    assert scored.scores == {"entity_density": 0.0}


@pytest.mark.parametrize(
    ("parsed", "reference", "want"),
    [
        pytest.param(
            _ok("the cat sat"),
            "the cat sat",
            {
                "teacher_agreement": 1.0,
                "missing_reference": 0.0,
                "unfinished_rate": 0.0,
                "num_words": 3.0,
                "repetition": 0.0,
            },
            id="same",
        ),
        pytest.param(
            Parsed(status=RowStatus.TRUNCATED),
            "the cat",
            {"teacher_agreement": 0.0, "missing_reference": 0.0, "unfinished_rate": 1.0},
            id="cut",
        ),
        pytest.param(
            _ok("hi"),
            "",
            {
                "teacher_agreement": 0.0,
                "missing_reference": 1.0,
                "unfinished_rate": 0.0,
                "num_words": 1.0,
                "repetition": 0.0,
            },
            id="no_reference",
        ),
    ],
)
def test_a_reply_is_held_against_the_teachers(
    parsed: Parsed, reference: str, want: dict[str, float]
) -> None:
    task = build_task(TaskName.CONVERSATION)

    assert task.score(parsed, ROWS[TaskName.CONVERSATION], None, reference).scores == want


def test_labels_are_summed_up_over_all_and_over_parsable_rows() -> None:
    gold = {str(n): GoldRow(row_id=str(n), gold=label) for n, label in enumerate("AABBC")}
    gold["2"] = GoldRow(row_id="2", gold="B", accepted=("C",))
    predictions = [
        build_prediction("0", "A", accuracy=1),
        build_prediction("1", "B", accuracy=0),
        build_prediction("2", "C", accuracy=1),  # as right as B
        build_prediction("3", status=RowStatus.UNPARSABLE, accuracy=0),
        build_prediction("4", "C", accuracy=1),
    ]

    # A: TP 1, FN 1 -> 2/3. B: TP 1, FP 1, FN 1 -> 1/2. C: TP 1 -> 1.
    # Parsable rows alone: B: TP 1, FP 1 -> 2/3.
    assert build_task(TaskName.NLU_QA).summarise(predictions, gold) == pytest.approx(
        {
            "accuracy": 3 / 5,
            "accuracy_parsable": 3 / 4,
            "macro_f1": (2 / 3 + 1 / 2 + 1) / 3,
            "macro_f1_parsable": (2 / 3 + 2 / 3 + 1) / 3,
            "unparsable_rate": 1 / 5,
        }
    )


def test_with_no_parsable_row_nothing_is_said_of_parsable_rows() -> None:
    gold = {"0": GoldRow(row_id="0", gold="A")}
    predictions = [build_prediction("0", status=RowStatus.REFUSED, accuracy=0)]

    assert build_task(TaskName.NLU_QA).summarise(predictions, gold) == {
        "accuracy": 0.0,
        "macro_f1": 0.0,
        "unparsable_rate": 1.0,
    }


def test_means_are_over_the_rows_that_carry_a_score() -> None:
    predictions = [
        build_prediction("0", "x", entity_density=0.5, num_words=10),
        build_prediction("1", status=RowStatus.UNPARSABLE, entity_density=0),
    ]

    assert build_task(TaskName.SUMMARIZATION).summarise(predictions, {}) == {
        "entity_density": 0.25,
        "entity_density_parsable": 0.5,
        "num_words": 10.0,
        "unparsable_rate": 0.5,
    }


@pytest.mark.parametrize("name", list(TaskName))
def test_no_rows_can_not_be_summed_up(name: TaskName) -> None:
    with pytest.raises(InvariantError, match=r"^predictions: nothing to sum up, got 0 rows$"):
        build_task(name).summarise([], {})


def test_a_prediction_without_gold_is_our_bug() -> None:
    with pytest.raises(InvariantError, match=r"^0: a prediction without gold$"):
        build_task(TaskName.NLI).summarise([build_prediction("0", "neutral", accuracy=1)], {})


@pytest.mark.parametrize(
    ("name", "gold", "want"),
    [
        (TaskName.NLI, ["neutral", "entailment", "neutral"], "neutral"),
        (TaskName.MATH, ["3", "10", "10", "3"], "10"),
        (TaskName.MATH, [], None),
        (TaskName.SUMMARIZATION, ["Ada."], None),
        (TaskName.CONVERSATION, [], None),
    ],
)
def test_the_constant_answer_is_the_one_right_most_often(
    name: TaskName, gold: list[str], want: str | None
) -> None:
    rows = [GoldRow(row_id=str(n), gold=text) for n, text in enumerate(gold)]

    assert build_task(name).constant_answer(rows) == want


def test_accepted_answers_count_for_the_constant_answer() -> None:
    rows = [GoldRow(row_id="0", gold="A", accepted=("C",)), GoldRow(row_id="1", gold="C")]

    assert build_task(TaskName.NLU_QA).constant_answer(rows) == "C"


def _reasoned_schema(answer: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"reason": {"type": "string", "maxLength": 960}, "answer": answer},
        "required": ["reason", "answer"],
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("name", "variant", "want"),
    [
        (TaskName.NLI, VANILLA, Constraint(choices=NLI_LABELS)),
        (TaskName.NLU_QA, VANILLA, Constraint(choices=LETTERS)),
        (TaskName.MATH, VANILLA, Constraint(json_schema={"type": "number"})),
        (TaskName.SUMMARIZATION, VANILLA, None),
        (TaskName.CONVERSATION, VANILLA, None),
        (
            TaskName.NLU_QA,
            COT,
            Constraint(json_schema=_reasoned_schema({"type": "string", "enum": list(LETTERS)})),
        ),
        (
            TaskName.MATH,
            COT,
            Constraint(
                json_schema=_reasoned_schema(
                    {"type": "string", "pattern": r"^-?[0-9]{1,15}(\.[0-9]{1,10})?$"}
                )
            ),
        ),
    ],
)
def test_answers_can_be_forced_into_the_form_asked_for(
    name: TaskName, variant: PromptVariant, want: Constraint | None
) -> None:
    assert build_task(name).constraint(ROWS[name], variant) == want


@pytest.mark.parametrize(
    ("name", "variant"),
    [(TaskName.MATH, COD), (TaskName.SUMMARIZATION, COT)],
)
def test_there_is_no_constraint_for_a_prompt_the_task_has_not(
    name: TaskName, variant: PromptVariant
) -> None:
    with pytest.raises(SpecError, match=f"^spec.teacher.prompts: {name} has no such prompt"):
        build_task(name).constraint(ROWS[name], variant)
