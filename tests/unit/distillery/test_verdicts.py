"""Prepare's verdict fits into an outcome at all bounds, and comes back whole."""

import json
from typing import Any

import pytest

from distillery.errors import InvariantError
from distillery.manifests import ManifestRef
from distillery.progress import MAX_SUMMARY_BYTES
from distillery.verdicts import pack_verdict, unpack_verdict
from tests.builders import make_job
from tests.verdicts import make_job_at_bounds, make_whole_verdict


def test_verdict_at_all_bounds_fits_and_comes_back_whole() -> None:
    job = make_job_at_bounds()
    verdict = make_whole_verdict(job)

    packed = json.loads(json.dumps(pack_verdict(verdict)))

    assert len(verdict.finished) == 35
    assert len(json.dumps(packed)) <= MAX_SUMMARY_BYTES
    assert unpack_verdict(packed, job.spec) == verdict


def test_small_verdict_is_written_out_plainly() -> None:
    job = make_job()
    verdict = make_whole_verdict(job)

    packed = pack_verdict(verdict)

    assert packed == verdict.dump()
    assert unpack_verdict(packed, job.spec) == verdict


@pytest.mark.parametrize(
    "summary",
    [
        pytest.param({}, id="empty"),
        pytest.param(
            {"isPacked": True, "dataset": ["p/a/b", "abcde"], "pins": {}, "finished": {}},
            id="no digest",
        ),
        pytest.param(
            {"isPacked": True, "dataset": ["p", ""], "pins": {"students/x": []}, "finished": {}},
            id="other job",
        ),
    ],
)
def test_outcome_that_is_no_verdict_is_refused(summary: dict[str, Any]) -> None:
    with pytest.raises(InvariantError, match="prepare: its outcome is no verdict on this job, got"):
        unpack_verdict(summary, make_job_at_bounds().spec)


def test_finished_step_of_another_job_is_no_part_of_a_verdict() -> None:
    verdict = make_whole_verdict(make_job_at_bounds())
    strange = verdict.model_copy(
        update={
            "finished": {
                **verdict.finished,
                "train-x": ManifestRef(prefix="jobs/a/b/train-x/1", sha256="00"),
            }
        }
    )

    with pytest.raises(InvariantError, match="jobs/a/b/train-x/1: is no prefix of train-x below"):
        pack_verdict(strange)
