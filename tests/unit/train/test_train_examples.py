"""Rows as flat arrays, and progress from workers to the reporter."""

import io

from distillery.progress import Progress, parse_record
from ray_jobs.progress import Reporter
from ray_jobs.rendering import TrainingExample
from ray_jobs.train.board import BoardReader, Posting
from ray_jobs.train.examples import join_examples


def test_joined_examples_keep_ids_masks_and_borders() -> None:
    joined = join_examples(
        [TrainingExample(ids=[1, 2, 3], mask=[0, 1, 1]), TrainingExample(ids=[4], mask=[1])]
    )
    assert joined.ids.tolist() == [1, 2, 3, 4]
    assert joined.mask.tolist() == [0, 1, 1, 1]
    assert joined.starts.tolist() == [0, 3, 4]
    assert joined.lengths.tolist() == [3, 1]


def test_no_examples_join_to_an_empty_set() -> None:
    assert len(join_examples([])) == 0


def test_postings_become_progress_of_all_trials() -> None:
    out = io.StringIO()
    reader = BoardReader(None, Reporter(out=out, clock=lambda: 0.0), total=20)
    for posting in (
        Posting(label="Vanilla seed 0", done=4, tokens=100),
        Posting(label="Vanilla seed 0", done=10, tokens=250),
        Posting(label="Vanilla seed 1", done=11, tokens=270),
    ):
        reader.show(posting)
    records = [parse_record(line) for line in out.getvalue().splitlines()]
    last = [record for record in records if isinstance(record, Progress)][-1]
    assert (last.label, last.done, last.total, last.unit) == ("Vanilla seed 1", 11, 20, "steps")
