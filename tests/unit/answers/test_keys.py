"""Row keys: what tells two questions apart, and what must not."""

from dataclasses import replace

import pytest

from ray_jobs.answers.keys import KeyMaker, TeacherIdentity, row_seed
from ray_jobs.engines.base import Constraint, Sampling

TEACHER = TeacherIdentity(weights_digest="d1", quantisation="auto")
SAMPLING = Sampling(temperature=0.2, top_p=0.1, max_tokens=16)
BASE_KEY = KeyMaker(TEACHER, SAMPLING).key([1, 2, 3], sample=0)


def test_key_of_a_golden_request_never_changes() -> None:
    # A changed key would have every teacher's answers paid for again.
    assert BASE_KEY == "01277c1a775c96e0996152f83dae13da6f4af83ddf0c01faea5a0864ad351762"


@pytest.mark.parametrize(
    "sampling",
    [replace(SAMPLING, max_tokens=99), replace(SAMPLING, seed=7)],
    ids=["maxTokens", "seed"],
)
def test_key_leaves_out(sampling: Sampling) -> None:
    keys = KeyMaker(TEACHER, sampling)
    assert keys.key([1, 2, 3], sample=0) == BASE_KEY


@pytest.mark.parametrize(
    "keys",
    [
        KeyMaker(replace(TEACHER, weights_digest="d2"), SAMPLING),
        KeyMaker(replace(TEACHER, quantisation="float16"), SAMPLING),
        KeyMaker(TEACHER, replace(SAMPLING, temperature=0.3)),
        KeyMaker(TEACHER, replace(SAMPLING, top_p=0.2)),
        KeyMaker(TEACHER, replace(SAMPLING, top_k=5)),
        KeyMaker(TEACHER, replace(SAMPLING, stop=("\n",))),
    ],
    ids=["weights", "quantisation", "temperature", "topP", "topK", "stop"],
)
def test_key_covers_the_teacher_and_its_sampling(keys: KeyMaker) -> None:
    assert keys.key([1, 2, 3], sample=0) != BASE_KEY


@pytest.mark.parametrize(
    ("ids", "sample", "constraint"),
    [
        ([1, 2, 4], 0, None),
        ([1, 2], 0, None),
        ([3, 2, 1], 0, None),
        ([1, 2, 3], 1, None),
        ([1, 2, 3], 0, Constraint(choices=("A", "B"))),
        ([1, 2, 3], 0, Constraint(json_schema={"type": "object"})),
    ],
)
def test_key_covers_prompt_sample_and_constraint(
    ids: list[int], sample: int, constraint: Constraint | None
) -> None:
    assert KeyMaker(TEACHER, SAMPLING).key(ids, sample=sample, constraint=constraint) != BASE_KEY


def test_fingerprint_names_weights_and_their_format_only() -> None:
    assert TEACHER.fingerprint == replace(TEACHER).fingerprint
    assert len(TEACHER.fingerprint) == 32
    assert TEACHER.fingerprint != replace(TEACHER, quantisation="fp8").fingerprint
    assert TEACHER.fingerprint != replace(TEACHER, weights_digest="d2").fingerprint


def test_seed_differs_by_key_and_is_the_same_again() -> None:
    seeds = {row_seed(f"key{number}", seed=0) for number in range(1000)}
    assert len(seeds) == 1000
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert row_seed("key1", seed=0) == row_seed("key1", seed=0) != row_seed("key1", seed=1)
