"""``results.json`` keeps the nulls that readers select on."""

from distillery.results import Comparison, Results, TrialResult
from distillery.tasks import TaskName

RESULTS = Results(
    job="sums",
    namespace="default",
    task=TaskName.MATH,
    metric="exact_match",
    trials=(
        TrialResult(
            student="teacher",
            arm="Vanilla",
            seed=None,
            metric="exact_match",
            value=0.5,
            ci_low=0.4,
            ci_high=0.6,
            num_rows=10,
            num_unparsable=0,
        ),
    ),
    comparisons=(
        Comparison(
            student="small",
            seed=None,
            arm="Vanilla",
            versus="Base",
            difference=0.1,
            ci_low=0.0,
            ci_high=0.2,
            num_rows=10,
        ),
    ),
)


def test_a_missing_seed_is_null_and_is_read_back() -> None:
    document = RESULTS.dump()
    for name in ("trials", "comparisons"):
        rows = document[name]
        assert isinstance(rows, list)
        assert [row["seed"] for row in rows] == [None]
    assert Results.model_validate(document) == RESULTS
