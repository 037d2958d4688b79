"""From files to prepared splits: refusals, figures, notes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distillery.errors import SpecError
from distillery.spec.job import DistillationJob
from ray_jobs.prepare.sources import open_source
from ray_jobs.prepare.splits import PreparedData, check_gold_arms, combine_splits, read_split
from ray_jobs.prepare.stage import make_data_task
from ray_jobs.records import Split
from tests.builders import make_job
from tests.rows import make_prepare_config, sum_rows, write_sums


@pytest.fixture
def prepare(tmp_path: Path) -> Callable[..., PreparedData]:
    """Reads and combines word problems; ``rows`` replaces a split's, ``changes`` the job's."""

    def run(rows: dict[str, Any] | None = None, **changes: Any) -> PreparedData:
        job = make_job(**{**write_sums(tmp_path, **(rows or {})), **changes})
        return prepare_job(job, tmp_path)

    return run


def prepare_job(job: DistillationJob, folder: Path) -> PreparedData:
    task = make_data_task(make_prepare_config(folder, job).inputs)
    check_gold_arms(job.spec)
    splits = []
    for split in Split:
        source = open_source(
            getattr(job.spec.dataset, split.value), split=split, storage=job.spec.storage
        )
        splits.append(read_split(source, job.spec, task, scratch=folder / "scratch"))
    return combine_splits(splits, job.spec)


def test_every_row_is_kept_or_accounted_for(prepare: Callable[..., PreparedData]) -> None:
    train = [*sum_rows(45), *sum_rows(3), *sum_rows(2, start=1000), *sum_rows(1, start=2000)]

    data = prepare({"train": train})

    summary = data.summary.splits["train"]
    assert (summary.num_read, summary.num_sampled, summary.num_kept) == (51, 51, 45)
    assert summary.dropped == {"duplicate": 3, "overlap_test": 1, "overlap_validation": 2}
    assert summary.examples == {
        "duplicate": (46, 47, 48),
        "overlap_test": (51,),
        "overlap_validation": (49, 50),
    }
    assert summary.num_with_gold == 45
    assert summary.gold_classes == {}
    assert data.summary.notes == ()


def test_row_ids_are_unique_and_survive_another_order(
    prepare: Callable[..., PreparedData],
) -> None:
    def ids(data: PreparedData) -> dict[str, str]:
        return {
            draft.prompt.messages[-1].content: draft.prompt.row_id
            for rows in data.drafts.values()
            for draft in rows
        }

    one = ids(prepare())
    two = ids(prepare({"train": sum_rows(45)[::-1]}))

    assert one == two
    assert len(set(one.values())) == len(one) == 97


def test_sampled_rows_are_drawn_by_the_seed(prepare: Callable[..., PreparedData]) -> None:
    rows = {"train": sum_rows(200)}
    one = prepare(rows, dataset__train__maxRows=50)
    other = prepare(rows, dataset__train__maxRows=50, dataset__seed=1)

    numbers = [[draft.number for draft in data.drafts[Split.TRAIN]] for data in (one, other)]
    assert [len(part) for part in numbers] == [50, 50]
    assert numbers[0] != numbers[1]
    assert one.summary.splits["train"].num_read == 200
    assert one.summary.splits["train"].num_sampled == 50


def test_small_validation_is_a_note(prepare: Callable[..., PreparedData]) -> None:
    data = prepare({"validation": sum_rows(5, start=1000)})

    assert data.summary.notes == ("validation: only 5 rows are left; 40 or more are better",)


def test_validation_without_gold_is_a_note(prepare: Callable[..., PreparedData]) -> None:
    data = prepare(dataset__validation__fields__gold=...)

    assert data.summary.notes == (
        "validation has no gold: its loss measures agreement with the teacher, not accuracy",
    )


def test_near_duplicates_leave_train_only_on_request(
    prepare: Callable[..., PreparedData],
) -> None:
    words = " ".join(f"w{number}" for number in range(60))
    rows = {
        "train": [*sum_rows(45), {"question": f"{words} x", "answer": 1}],
        "test": [{"question": words, "answer": 1}],
    }

    counted = prepare(rows).summary.splits["train"]
    removed = prepare(rows, dataset__removeNearDuplicates=True).summary.splits["train"]

    assert (counted.num_kept, counted.num_near_duplicates) == (46, 1)
    assert counted.near_duplicate_examples == (46,)
    assert (removed.num_kept, removed.dropped) == (45, {"near_duplicate": 1})


def test_cut_articles_are_counted(tmp_path: Path) -> None:
    article = " ".join(f"w{number}" for number in range(20))
    rows = [{"question": f"{name} {article}"} for name in range(70)]
    splits = {
        "train": rows,
        "validation": [{"question": f"v {article}"}],
        "test": [{"question": "t short"}],
    }
    job = make_job(
        task="SUMMARIZATION",
        teacher__prompts=["Vanilla"],
        students__0__arms=["Vanilla"],
        dataset__maxWords=16,
        **write_sums(tmp_path, **splits),
        **{f"dataset__{split}__fields__gold": ... for split in splits},
    )

    summary = prepare_job(job, tmp_path).summary

    assert summary.max_words == 16
    assert summary.splits["train"].num_rows_cut == 70
    assert summary.splits["train"].num_words_cut == 70 * 5
    assert summary.splits["test"].num_rows_cut == 0


@pytest.mark.parametrize(
    ("rows", "changes", "reason", "want"),
    [
        pytest.param(
            {"train": sum_rows(39)},
            {},
            "TooFewRows",
            "dataset.train: must have at least 40 rows for MATH, got 39; add rows or raise maxRows",
            id="too few train rows",
        ),
        pytest.param(
            {"test": []},
            {},
            "DataUnreadable",
            "dataset.test: must have rows, got none in test.jsonl; check the file, or name another",
            id="empty file",
        ),
        pytest.param(
            {"test": [{"question": "1?", "answer": None}]},
            {},
            "BadRows",
            "test.jsonl:1: gold: test needs ground truth in every row, got none; name its column in "
            "dataset.test.fields.gold, and fill it in",
            id="test gold missing",
        ),
        pytest.param(
            {"train": [*sum_rows(45), {"question": "1?", "answer": ""}]},
            {"students__0__arms": ["Gold"]},
            "BadRows",
            "train.jsonl:46: gold: train needs ground truth in every row, got none; name its column "
            "in dataset.train.fields.gold, and fill it in",
            id="Gold arm without a row's gold",
        ),
        pytest.param(
            {},
            {"students__0__arms": ["Gold"], "dataset__train__fields__gold": ...},
            "InvalidSpec",
            "dataset.train.fields.gold: is missing, and small learns from gold; name its column, or "
            "leave the Gold arm out",
            id="Gold arm without gold",
        ),
        pytest.param(
            {"test": sum_rows(3, start=9), "validation": sum_rows(2, start=9)},
            {},
            "NoRowsLeft",
            "dataset.validation: no row is left, every one is a duplicate, contradicts itself or "
            "stands in another split, got 0; use data that differs",
            id="validation inside test",
        ),
    ],
)
def test_unusable_data_is_refused(
    prepare: Callable[..., PreparedData],
    rows: dict[str, Any],
    changes: dict[str, Any],
    reason: str,
    want: str,
) -> None:
    with pytest.raises(SpecError) as caught:
        prepare(rows, **changes)

    assert (caught.value.reason, caught.value.message) == (reason, want)


def test_missing_file_is_refused_with_its_path(tmp_path: Path) -> None:
    job = make_job(dataset__train__uri=(tmp_path / "gone.jsonl").as_uri())

    with pytest.raises(
        SpecError, match=r"dataset.train.uri: no such file, got .*gone.jsonl; check"
    ):
        open_source(job.spec.dataset.train, split=Split.TRAIN, storage=job.spec.storage)
