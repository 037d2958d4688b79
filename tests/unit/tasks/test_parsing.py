"""The strict readers: what each form of text is read as."""

import json

import pytest

from ray_jobs.engines.base import FinishReason
from ray_jobs.records import RowStatus
from ray_jobs.tasks.base import Parsed
from ray_jobs.tasks.numbers import normalise_number
from ray_jobs.tasks.parsing import (
    DensityRounds,
    ReasonedAnswer,
    match_label,
    read_density_rounds,
    read_label,
    read_reasoned,
    reject_unfinished,
)
from ray_jobs.tasks.refusals import is_refusal

NLI = ("entailment", "contradiction", "neutral")
LETTERS = ("A", "B", "C", "D", "E")


@pytest.mark.parametrize(
    ("text", "labels", "want"),
    [
        pytest.param("entailment", NLI, "entailment", id="plain"),
        pytest.param("  Entailment.\n", NLI, "entailment", id="case_space_stop"),
        pytest.param('"neutral"', NLI, "neutral", id="quotes"),
        pytest.param('"neutral".', NLI, "neutral", id="stop_after_quotes"),
        pytest.param("'neutral.'", NLI, "neutral", id="stop_in_quotes"),
        pytest.param("“neutral”", NLI, "neutral", id="curly_quotes"),
        pytest.param("neutral..", NLI, None, id="two_stops"),
        pytest.param("''neutral''", NLI, None, id="two_pairs_of_quotes"),
        pytest.param("'neutral\"", NLI, None, id="odd_quotes"),
        pytest.param("**neutral**", NLI, None, id="markdown"),
        pytest.param("neutral because", NLI, None, id="more_words"),
        pytest.param("(neutral)", NLI, None, id="brackets_around_a_word"),
        pytest.param("B", LETTERS, "B", id="letter"),
        pytest.param("b.", LETTERS, "B", id="letter_stop"),
        pytest.param("(C)", LETTERS, "C", id="letter_in_brackets"),
        pytest.param("c)", LETTERS, "C", id="letter_bracket"),
        pytest.param("(C", LETTERS, None, id="open_bracket"),
        pytest.param("(C) ignore", LETTERS, None, id="letter_and_text"),
        pytest.param("A B", LETTERS, None, id="two_letters"),
        pytest.param("F", LETTERS, None, id="foreign_letter"),
        pytest.param("", LETTERS, None, id="empty"),
        pytest.param("U.S.", ("U.S.", "U.K."), "U.S.", id="label_with_stops"),
    ],
)
def test_a_label_is_matched_only_where_nothing_else_is_said(
    text: str, labels: tuple[str, ...], want: str | None
) -> None:
    assert match_label(text, labels) == want


@pytest.mark.parametrize(
    ("text", "is_whole_form", "want_status", "want_detail"),
    [
        pytest.param("maybe", False, RowStatus.INVALID_LABEL, "not one of the labels", id="word"),
        pytest.param(
            "The answer is A", False, RowStatus.UNPARSABLE, "not a label alone", id="talk"
        ),
        pytest.param(
            "I'm sorry, but I can't help with that.",
            False,
            RowStatus.REFUSED,
            "refused",
            id="refusal",
        ),
        pytest.param(
            "I cannot answer", True, RowStatus.REFUSED, "refused", id="refusal_inside_json"
        ),
        pytest.param(
            "it is neutral", True, RowStatus.INVALID_LABEL, "not one of the labels", id="in_json"
        ),
    ],
)
def test_what_is_no_label_is_rejected_with_its_reason(
    text: str, is_whole_form: bool, want_status: RowStatus, want_detail: str
) -> None:
    parsed = read_label(text, NLI, is_whole_form=is_whole_form)

    assert parsed == Parsed(status=want_status, detail=want_detail)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("20", "20"),
        (" 20. ", "20"),
        ("20.0", "20"),
        ("20.50", "20.5"),
        ("007", "7"),
        ("+5", "5"),
        ("-5", "-5"),
        ("\u22125", "-5"),
        ("-0.0", "0"),
        ("1,234", "1234"),
        ("1,234,567.80", "1234567.8"),
        ("$20", "20"),
        ("-$5", "-5"),
        ("20%", "20"),
        ("20 apples", "20"),
        ("20 km/h", "20"),
        ("20 square feet.", "20"),
        ("1.5e3", "1500"),
        ("25e-3", "0.025"),
        ("1E+2", "100"),
        ("12,34", None),
        ("1,2345", None),
        ("1 234", None),
        ("1/2", None),
        ("3 + 4 = 7", None),
        ("20 or 21", None),
        ("20-30", None),
        ("The answer is 20", None),
        ("20 apples left", None),
        ("twenty", None),
        ("#### 20", None),
        (r"\boxed{20}", None),
        ("20..", None),
        (".5", None),
        ("1e400", None),
        ("1e31", None),
        ("9" * 41, None),
        ("٣", None),
        ("", None),
        ("-", None),
    ],
)
def test_a_number_has_one_spelling_or_none(text: str, want: str | None) -> None:
    assert normalise_number(text) == want


def _reasoned(text: str) -> ReasonedAnswer:
    read = read_reasoned(text)
    assert isinstance(read, ReasonedAnswer)
    return read


@pytest.mark.parametrize(
    ("text", "want_answer", "want_number", "want_fenced"),
    [
        pytest.param('{"reason": "r", "answer": "A"}', "A", False, False, id="plain"),
        pytest.param('\n {"answer": "A", "reason": "r"} ', "A", False, False, id="other_order"),
        pytest.param('{"reason": "r", "answer": 20.0}', "20.0", True, False, id="number"),
        pytest.param('```json\n{"reason": "r", "answer": "A"}\n```', "A", False, True, id="fence"),
        pytest.param('```\n{"reason": "r", "answer": "A"}```', "A", False, True, id="bare_fence"),
    ],
)
def test_one_object_with_reason_and_answer_is_read(
    text: str, want_answer: str, want_number: bool, want_fenced: bool
) -> None:
    assert _reasoned(text) == ReasonedAnswer(
        reason="r", answer=want_answer, is_number=want_number, is_fenced=want_fenced
    )


@pytest.mark.parametrize(
    ("text", "want_detail"),
    [
        pytest.param("A", "no JSON", id="bare_answer"),
        pytest.param('Sure: {"reason": "r", "answer": "A"}', "no JSON", id="text_before"),
        pytest.param('{"reason": "r", "answer": "A"} ok', "text after the JSON", id="text_after"),
        pytest.param(
            '{"reason": "r", "answer": "A"}{"reason": "r", "answer": "B"}',
            "text after the JSON",
            id="two_objects",
        ),
        pytest.param('{"reason": "r", "answer": "A"', "broken JSON", id="cut"),
        pytest.param('{"reason": "a\nb", "answer": "A"}', "broken JSON", id="raw_line_break"),
        pytest.param("{'reason': 'r', 'answer': 'A'}", "broken JSON", id="single_quotes"),
        pytest.param('["r", "A"]', "not a JSON object", id="list"),
        pytest.param('{"reason": "r"}', "no answer", id="answer_missing"),
        pytest.param('{"answer": "A"}', "no reason", id="reason_missing"),
        pytest.param('{"reason": "r", "answer": "A", "sure": 1}', "an extra key", id="extra_key"),
        pytest.param(
            '{"reason": "r", "answer": "A", "answer": "B"}', "a key stands twice", id="twice"
        ),
        pytest.param('{"reason": 3, "answer": "A"}', "reason is no text", id="reason_number"),
        pytest.param('{"reason": null, "answer": "A"}', "reason is no text", id="reason_null"),
        pytest.param(
            '{"reason": "r", "answer": ["A"]}',
            "answer is neither text nor number",
            id="list_answer",
        ),
        pytest.param(
            '{"reason": "r", "answer": true}', "answer is neither text nor number", id="bool_answer"
        ),
        pytest.param('{"reason": "r", "answer": NaN}', "a number that is none", id="nan"),
        pytest.param(
            '{"reason": "\\ud800", "answer": "A"}', "not valid Unicode", id="lone_surrogate"
        ),
        pytest.param("[" * 100_000, "JSON nested too deep", id="nested"),
    ],
)
def test_any_other_form_is_unparsable_and_says_why(text: str, want_detail: str) -> None:
    assert read_reasoned(text) == Parsed(status=RowStatus.UNPARSABLE, detail=want_detail)


def test_a_refusal_in_place_of_json_is_told_apart() -> None:
    assert read_reasoned("I can't help with that.") == Parsed(
        status=RowStatus.REFUSED, detail="refused"
    )


def _rounds(*entries: object) -> str:
    return json.dumps(list(entries))


ROUND = {"missing_entities": ["Ada"], "denser_summary": " Ada wrote. "}


def test_rounds_are_read_with_entities_as_list_or_text() -> None:
    text = _rounds(ROUND, {"missing_entities": "Bob; Eve", "denser_summary": "Ada and Bob."})

    assert read_density_rounds(text, num_rounds=2) == DensityRounds(
        entities=(("Ada",), ("Bob; Eve",)),
        summaries=("Ada wrote.", "Ada and Bob."),
        is_fenced=False,
    )


@pytest.mark.parametrize(
    ("text", "want_detail"),
    [
        pytest.param(_rounds(ROUND), "fewer rounds than asked", id="fewer"),
        pytest.param(_rounds(ROUND, ROUND, ROUND), "more rounds than asked", id="more"),
        pytest.param(json.dumps(ROUND), "not a JSON list", id="object"),
        pytest.param(_rounds("a", "b"), "a round is no JSON object", id="texts"),
        pytest.param(_rounds(ROUND, {"denser_summary": "s"}), "no missing_entities", id="no_names"),
        pytest.param(_rounds(ROUND, {**ROUND, "n": 2}), "an extra key", id="extra"),
        pytest.param(
            _rounds(ROUND, {**ROUND, "missing_entities": [1]}),
            "missing_entities is no text",
            id="entity_number",
        ),
        pytest.param(
            _rounds(ROUND, {**ROUND, "denser_summary": " "}),
            "denser_summary is no text",
            id="blank_summary",
        ),
        pytest.param(
            _rounds(ROUND, {**ROUND, "denser_summary": 1}),
            "denser_summary is no text",
            id="number_summary",
        ),
        pytest.param("Round 1: Ada.", "no JSON", id="prose"),
    ],
)
def test_any_other_rounds_are_unparsable_and_say_why(text: str, want_detail: str) -> None:
    parsed = read_density_rounds(text, num_rounds=2)

    assert parsed == Parsed(status=RowStatus.UNPARSABLE, detail=want_detail)


@pytest.mark.parametrize(
    ("text", "finish", "want"),
    [
        pytest.param("A", FinishReason.STOP, None, id="whole"),
        pytest.param(
            "A",
            FinishReason.LENGTH,
            Parsed(status=RowStatus.TRUNCATED, detail="cut at the token limit"),
            id="length",
        ),
        pytest.param(
            "A",
            FinishReason.CONTEXT,
            Parsed(status=RowStatus.TRUNCATED, detail="cut at the context window"),
            id="context",
        ),
        pytest.param(
            "A",
            FinishReason.ERROR,
            Parsed(status=RowStatus.ERROR, detail="the engine gave no answer"),
            id="error",
        ),
        pytest.param(
            " \n",
            FinishReason.STOP,
            Parsed(status=RowStatus.UNPARSABLE, detail="empty"),
            id="blank",
        ),
        pytest.param(
            "\ud800",
            FinishReason.STOP,
            Parsed(status=RowStatus.UNPARSABLE, detail="not valid Unicode"),
            id="surrogate",
        ),
    ],
)
def test_only_a_whole_legible_answer_is_read(
    text: str, finish: FinishReason, want: Parsed | None
) -> None:
    assert reject_unfinished(text, finish) == want


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("I'm sorry, but I can't help with that.", True),
        ("I\u2019m sorry, I cannot assist with this request.", True),
        ("Sorry, I am unable to answer.", True),
        ("As an AI language model, I cannot provide that.", True),
        ("I won't write this.", True),
        ("I cannot summarize this article.", True),
        ("I can't believe it ended.", False),
        ("Sorry seems to be the hardest word.", False),
        ("He said: I cannot help.", False),
        ("neutral", False),
        ("", False),
    ],
)
def test_a_refusal_is_one_only_at_the_very_start(text: str, want: bool) -> None:
    assert is_refusal(text) is want
