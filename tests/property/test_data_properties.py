"""Properties of prepared data that hold for any rows."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ray_jobs.prepare.duplicates import drop_duplicates
from ray_jobs.prepare.problems import RowProblems
from ray_jobs.prepare.readers import choose_format, read_file
from ray_jobs.prepare.rows import Draft, content_key, cut_words, normalise
from ray_jobs.records import GoldRow, Message, PromptRow, Split

CELLS = st.text(st.characters(exclude_categories=["Cs"]))
ROWS = st.lists(
    st.tuples(st.sampled_from(Split), st.integers(0, 5), st.sampled_from([None, "1", "2"])),
    max_size=40,
)


def make_drafts(rows: Sequence[tuple[Split, int, str | None]]) -> dict[Split, list[Draft]]:
    drafts: dict[Split, list[Draft]] = {split: [] for split in Split}
    for split, word, gold in rows:
        row_id = f"row{word}"
        prompt = PromptRow(
            row_id=row_id, split=split, messages=(Message(role="user", content=f"w{word}"),)
        )
        drafts[split].append(
            Draft(
                number=len(drafts[split]) + 1,
                key=row_id,
                prompt=prompt,
                gold=None if gold is None else GoldRow(row_id=row_id, gold=gold),
            )
        )
    return drafts


@settings(deadline=None)
@given(ROWS, st.booleans())
def test_every_row_stays_or_leaves_and_no_words_stay_twice(
    rows: list[tuple[Split, int, str | None]], has_one_gold: bool
) -> None:
    drafts = make_drafts(rows)

    kept = drop_duplicates(drafts, has_one_gold=has_one_gold)

    stayed = [(split, draft.number) for split, part in kept.drafts.items() for draft in part]
    left = [(row.split, row.number) for row in kept.dropped]
    keys = [draft.key for part in kept.drafts.values() for draft in part]
    assert sorted(stayed + left) == sorted(
        (split, draft.number) for split, part in drafts.items() for draft in part
    )
    assert len(keys) == len(set(keys))


@settings(deadline=None)
@given(ROWS)
def test_no_word_of_the_test_stays_in_train_and_no_test_word_leaves_for_it(
    rows: list[tuple[Split, int, str | None]],
) -> None:
    drafts = make_drafts(rows)

    kept = drop_duplicates(drafts, has_one_gold=False)

    in_test = {draft.key for draft in drafts[Split.TEST]}
    assert {draft.key for draft in kept.drafts[Split.TEST]} == in_test
    for split in (Split.TRAIN, Split.VALIDATION):
        assert not in_test & {draft.key for draft in kept.drafts[split]}


@settings(deadline=None)
@given(st.lists(st.dictionaries(CELLS, st.one_of(CELLS, st.integers(), st.none()))))
def test_any_json_objects_come_back_from_their_lines(rows: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        path.write_bytes("\n".join(lines).encode())
        problems = RowProblems(path.name)
        form = choose_format(path.name, None, place="dataset.train")

        read = list(read_file(path, form, problems))

    problems.raise_if_any()
    assert [row.values for row in read] == rows


@settings(deadline=None)
@given(st.text(), st.integers(1, 20))
def test_cut_text_is_the_beginning_with_so_many_words(text: str, max_words: int) -> None:
    cut, num_cut = cut_words(text, max_words)

    assert text.startswith(cut)
    assert len(cut.split()) + num_cut == len(text.split())
    assert len(cut.split()) == min(max_words, len(text.split()))


@settings(deadline=None)
@given(st.text(), st.text(alphabet=" \t\n", max_size=3))
def test_identity_ignores_white_space_around_and_case(text: str, space: str) -> None:
    def key(content: str) -> str:
        return content_key([Message(role="user", content=content)])

    assert key(f"{space}{text}{space}") == key(text)
    assert normalise(normalise(text)) == normalise(text)
