"""The drop report, the gate and the label-quality table."""

from collections.abc import Mapping

import pytest

from distillery.errors import SpecError
from distillery.tasks import PromptVariant, TaskName
from ray_jobs.curate.judging import Judged, judge_rows
from ray_jobs.curate.label_quality import measure_quality
from ray_jobs.curate.yields import check_success, sum_up_yield
from ray_jobs.records import GoldRow, Split
from tests.rows import make_answer, make_any_task, make_prompt_row

LABELS = ("entailment", "contradiction", "neutral")
ROWS = [make_prompt_row(name, labels=LABELS) for name in "abcd"]
GOLD = {
    name: GoldRow(row_id=name, gold=label)
    for name, label in zip("abcd", ("neutral", "neutral", "entailment", "entailment"), strict=True)
}
TASK = make_any_task(TaskName.NLI)


def judge(answers: Mapping[str, str], *, variant: PromptVariant) -> list[Judged]:
    return judge_rows(
        ROWS,
        [make_answer(name, text, variant=variant.value) for name, text in answers.items()],
        task=TASK,
        variant=variant,
    )


def test_drops_are_counted_by_reason_and_gold_class() -> None:
    judged = judge({"a": "neutral", "b": "hm", "c": "neutral"}, variant=PromptVariant.VANILLA)

    summary = sum_up_yield(judged, GOLD)

    assert (summary.split, summary.variant) == ("train", "Vanilla")
    assert (summary.num_rows, summary.num_ok, summary.success_ratio) == (4, 2, 0.5)
    assert sum(summary.statuses.values()) == 4
    assert summary.statuses["error"] == 1
    assert summary.by_gold_class["entailment"] == {"error": 1, "ok": 1}
    assert summary.by_gold_class["neutral"]["ok"] == 1
    assert summary.details["no answer"] == 1


def test_success_ratio_at_the_bar_passes() -> None:
    summary = sum_up_yield(
        judge({"a": "neutral", "c": "neutral"}, variant=PromptVariant.VANILLA), {}
    )

    check_success([summary], min_success_ratio=0.5, examples_uri="file:///x")


def test_success_ratio_below_the_bar_stops_with_counted_reasons_and_the_examples() -> None:
    summary = sum_up_yield(judge({"a": "neutral"}, variant=PromptVariant.VANILLA), {})

    with pytest.raises(SpecError) as caught:
        check_success([summary], min_success_ratio=0.7, examples_uri="file:///x/rejected.parquet")

    assert caught.value.reason == "SuccessRatioTooLow"
    assert caught.value.message == (
        "train Vanilla: usable answers must be at least 70% of the rows, got 1 of 4 (error 3)\n"
        "rejected answers: file:///x/rejected.parquet; mend the prompt, raise "
        "teacher.sampling.maxTokens, set structuredOutputs, or lower teacher.minSuccessRatio"
    )


def test_labels_are_measured_on_own_and_on_common_rows() -> None:
    chain = '{{"reason": "so", "answer": "{}"}}'
    judged = {
        "Vanilla": judge(
            {"a": "neutral", "b": "entailment", "c": "entailment"}, variant=PromptVariant.VANILLA
        ),
        "ChainOfThought": judge(
            {"b": chain.format("neutral"), "c": chain.format("entailment"), "d": "no JSON"},
            variant=PromptVariant.CHAIN_OF_THOUGHT,
        ),
    }

    vanilla, chained = measure_quality(ROWS, judged, GOLD, task=TASK, split=Split.TRAIN)

    assert (vanilla.num_rows, vanilla.num_right) == (3, 2)
    assert vanilla.accuracy == pytest.approx(2 / 3)
    assert (chained.num_rows, chained.num_right, chained.accuracy) == (2, 2, 1.0)
    assert vanilla.num_common_rows == chained.num_common_rows == 2
    assert (vanilla.num_common_right, vanilla.common_accuracy) == (1, 0.5)
    assert (chained.num_common_right, chained.common_accuracy) == (2, 1.0)


def test_further_right_answers_count_as_right() -> None:
    gold = {"a": GoldRow(row_id="a", gold="entailment", accepted=("neutral",))}
    judged = {"Vanilla": judge({"a": "neutral"}, variant=PromptVariant.VANILLA)}

    (quality,) = measure_quality(ROWS, judged, gold, task=TASK, split=Split.TRAIN)

    assert (quality.num_rows, quality.num_right) == (1, 1)


def test_nothing_is_measured_without_gold() -> None:
    judged = {"Vanilla": judge({"a": "neutral"}, variant=PromptVariant.VANILLA)}

    assert measure_quality(ROWS, judged, {}, task=TASK, split=Split.TRAIN) == []
