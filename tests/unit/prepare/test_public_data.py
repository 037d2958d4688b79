"""The public sets of ``DISTILLERY_TEST_DATA``, with the quirks that their README counts."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from distillery.spec.dataset import Fields
from distillery.tasks import TaskName
from ray_jobs.prepare.duplicates import drop_duplicates
from ray_jobs.prepare.near_duplicates import find_near_duplicates
from ray_jobs.prepare.problems import RowProblems
from ray_jobs.prepare.readers import choose_format, read_file
from ray_jobs.prepare.rows import Draft, RowMaker, normalise
from ray_jobs.records import Split
from tests.rows import make_any_task, write_jsonl

pytestmark = pytest.mark.data


def read_drafts(
    path: Path,
    task: TaskName,
    *,
    split: Split = Split.TRAIN,
    max_words: int | None = None,
    **fields: Any,
) -> list[Draft]:
    problems = RowProblems(path.name)
    maker = RowMaker(
        task=make_any_task(task), split=split, fields=Fields(**fields), max_words=max_words
    )
    form = choose_format(path.name, None, place="dataset.train")
    drafts = [maker.make(row) for row in read_file(path, form, problems)]
    problems.raise_if_any()
    return drafts


def reasons(train: list[Draft], validation: list[Draft], test: list[Draft]) -> Counter[str]:
    kept = drop_duplicates(
        {Split.TRAIN: train, Split.VALIDATION: validation, Split.TEST: test}, has_one_gold=True
    )
    return Counter(f"{row.split} {row.reason}" for row in kept.dropped)


@pytest.mark.parametrize(
    ("name", "task", "num_rows"),
    [
        pytest.param("conjnli/train_nli.jsonl", TaskName.NLI, 512, id="NLI"),
        pytest.param("commonsense_qa/train_nlu_qa.jsonl", TaskName.NLU_QA, 512, id="NLU_QA"),
        pytest.param("multiarith/train_math.jsonl", TaskName.MATH, 378, id="MATH"),
        pytest.param(
            "chain_of_density/train_summarization.jsonl",
            TaskName.SUMMARIZATION,
            500,
            id="SUMMARIZATION",
        ),
        pytest.param(
            "baize_quora/train_conversation.jsonl", TaskName.CONVERSATION, 100, id="CONVERSATION"
        ),
    ],
)
def test_chat_files_are_read_whole(data: Path, name: str, task: TaskName, num_rows: int) -> None:
    drafts = read_drafts(data / name, task)

    assert len(drafts) == num_rows
    assert all(draft.gold is None for draft in drafts)


def test_tables_of_conjnli_are_read_without_quoting(data: Path) -> None:
    fields: dict[str, Any] = {"premise": "Premise", "hypothesis": "Hypothesis", "gold": "Label"}
    train = read_drafts(data / "conjnli/adversarial_train_15k.tsv", TaskName.NLI, **fields)
    dev = read_drafts(data / "conjnli/conj_dev.tsv", TaskName.NLI, split=Split.TEST, **fields)

    classes = Counter(draft.gold.gold for draft in dev if draft.gold is not None)
    assert (len(train), len(dev)) == (15_000, 623)
    assert classes == {"entailment": 204, "neutral": 281, "contradiction": 138}
    # 15 duplicated pairs, 13 of them with conflicting labels; the files share none.
    assert reasons(train, [], dev) == {"train conflicting_gold": 26, "train duplicate": 2}


def test_questions_of_commonsense_qa_have_two_right_letters_where_texts_are_equal(
    data: Path,
) -> None:
    drafts = read_drafts(
        data / "commonsense_qa/train_rand_split.jsonl",
        TaskName.NLU_QA,
        question="question.stem",
        choices="question.choices",
        gold="answerKey",
    )

    assert len(drafts) == 9_741
    assert sum(bool(draft.gold and draft.gold.accepted) for draft in drafts[:512]) == 4


def test_duplicates_and_overlap_of_multiarith_are_those_its_readme_counts(
    data: Path, tmp_path: Path
) -> None:
    folder = data / "multiarith"
    train = read_drafts(folder / "train_math.jsonl", TaskName.MATH)
    validation = read_drafts(
        folder / "validation_math.jsonl", TaskName.MATH, split=Split.VALIDATION
    )
    asked = {draft.key for draft in (*train, *validation)}
    test_file = write_jsonl(tmp_path / "test.jsonl", list(unasked(folder)))
    test = read_drafts(test_file, TaskName.MATH, split=Split.TEST, gold="gold")

    assert len(test) == 174
    assert not asked & {draft.key for draft in test}
    assert reasons(train, validation, test) == {
        "train duplicate": 9,
        "train overlap_validation": 2,
        "validation duplicate": 1,
        "test duplicate": 2,
    }


def unasked(folder: Path) -> Iterator[dict[str, Any]]:
    """The problems that stand in neither chat file, as chat rows with gold."""
    asked = set()
    for name in ("train_math.jsonl", "validation_math.jsonl"):
        for line in (folder / name).read_text(encoding="utf-8").splitlines():
            question = json.loads(line)["messages"][1]["content"]
            asked.add(normalise(re.sub("^Question:", "", question)))
    for problem in json.loads((folder / "MultiArith.json").read_text(encoding="utf-8")):
        if normalise(problem["sQuestion"]) not in asked:
            content = f"Question: {problem['sQuestion']}"
            yield {
                "messages": [{"role": "user", "content": content}],
                "gold": problem["lSolutions"][0],
            }


def test_long_articles_are_cut_and_near_duplicates_are_none(data: Path) -> None:
    folder = data / "chain_of_density"
    train = read_drafts(folder / "train_summarization.jsonl", TaskName.SUMMARIZATION, max_words=120)
    whole = {
        Split.TRAIN: read_drafts(folder / "train_summarization.jsonl", TaskName.SUMMARIZATION),
        Split.VALIDATION: read_drafts(
            folder / "validation_summarization.jsonl",
            TaskName.SUMMARIZATION,
            split=Split.VALIDATION,
        ),
        Split.TEST: [],
    }

    assert all(draft.prompt.num_words_cut > 0 for draft in train)
    assert find_near_duplicates(whole) == {split: [] for split in Split}
