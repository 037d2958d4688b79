"""A job file's text: every problem at once, in the project's wording."""

import json

import pytest

from distillery.errors import SpecError
from distillery.loading import load_job, warnings_for
from tests.builders import make_document


def problems_of(document: dict, overrides: tuple[str, ...] = ()) -> list[str]:
    with pytest.raises(SpecError) as caught:
        load_job(json.dumps(document), overrides=overrides)
    return caught.value.message.splitlines()


def test_a_valid_job_loads() -> None:
    job = load_job(json.dumps(make_document()))
    assert job.metadata.namespace == "default"
    assert job.spec.teacher_max_tokens == 256
    assert not warnings_for(job)


@pytest.mark.parametrize(
    ("changes", "want"),
    [
        pytest.param(
            {"teacher__engine": {"type": "vllm", "replica": 2}},
            "spec.teacher.engine.replica: is no known field; did you mean replicas",
            id="unknown_field_near_a_known_one",
        ),
        pytest.param(
            {"storage__colour": "red"},
            "spec.storage.colour: is no known field; accepted are credentialsRef, endpointUrl, region, uri",
            id="unknown_field",
        ),
        pytest.param(
            {"evaluation__judge": {}},
            "spec.evaluation.judge: is not supported yet; remove it",
            id="field_of_the_design_not_carried_out_yet",
        ),
        pytest.param(
            {"teacher__engine": {"type": "openai"}},
            "spec.teacher.engine.type: is not supported yet, got 'openai'; "
            "accepted are vllm, transformers",
            id="engine_not_carried_out_yet",
        ),
        pytest.param(
            {"teacher__engine": {"type": "tgi"}},
            "spec.teacher.engine.type: must be one of those accepted, got 'tgi'; "
            "accepted are vllm, transformers",
            id="unknown_engine",
        ),
        pytest.param(
            {"teacher__engine": {"replicas": 2}},
            "spec.teacher.engine.type: is missing; accepted are vllm, transformers",
            id="union_without_type",
        ),
        pytest.param(
            {"teacher__sampling__maxTokens": "many"},
            "spec.teacher.sampling.maxTokens: must be a whole number, got 'many'",
            id="wrong_type",
        ),
        pytest.param(
            {"dataset__removeNearDuplicates": 3},
            "spec.dataset.removeNearDuplicates: must be true or false, got 3",
            id="wrong_boolean",
        ),
        pytest.param(
            {"students__0__arms": "Vanilla"},
            "spec.students[0].arms: must be a list, got 'Vanilla'",
            id="text_for_a_list",
        ),
        pytest.param(
            {"students__0__arms": ["Vanila"]},
            "spec.students[0].arms[0]: must be one of 'Base', 'Vanilla', 'ChainOfThought', "
            "'ChainOfDensity' or 'Gold', got 'Vanila'",
            id="unknown_arm",
        ),
        pytest.param(
            {"teacher__sampling__temperature": 3},
            "spec.teacher.sampling.temperature: must be at most 2.0, got 3",
            id="temperature_out_of_range",
        ),
        pytest.param(
            {"teacher__sampling__topP": 0},
            "spec.teacher.sampling.topP: must be above 0.0, got 0",
            id="top_p_out_of_range",
        ),
        pytest.param(
            {"teacher__minSuccessRatio": 1.5},
            "spec.teacher.minSuccessRatio: must be at most 1.0, got 1.5",
            id="ratio_out_of_range",
        ),
        pytest.param(
            {"storage__uri": ""},
            "spec.storage.uri: must have at least 1 characters, got ''",
            id="empty_text",
        ),
        pytest.param(
            {"students__0__seeds": []},
            "spec.students[0].seeds: must have at least 1 items, got []",
            id="empty_list",
        ),
        pytest.param(
            {"teacher__model": ...}, "spec.teacher.model: is missing; add it", id="missing"
        ),
        pytest.param(
            {"students__0__name": "Small_1"},
            "spec.students[0].name: is no legal name, got 'Small_1'; "
            "use lower-case letters, digits and '-', starting with a letter",
            id="illegal_student_name",
        ),
    ],
)
def test_a_faulty_field_is_named_with_its_value_and_the_way_out(changes: dict, want: str) -> None:
    assert problems_of(make_document(**changes)) == [want]


def test_an_illegal_job_name_is_refused() -> None:
    document = make_document()
    document["metadata"]["name"] = "Job.1"
    assert problems_of(document) == [
        "metadata.name: is no legal name, got 'Job.1'; "
        "use lower-case letters, digits and '-', starting with a letter"
    ]


def test_all_problems_are_found_at_once_across_kinds() -> None:
    document = make_document(
        teacher__sampling__samplesPerPrompt=4,
        teacher__engine={"type": "vllm", "maxModelLen": "8192"},
        students__0__arms=["Vanilla", "Gold", "ChainOfDensity"],
        dataset__train={"uri": "file:///data/train.jsonl", "maxRows": 12},
    )
    assert [line.split(":")[0] for line in problems_of(document)] == [
        "spec.teacher.engine.maxModelLen",
        "spec.dataset.train.maxRows",
        "spec.teacher.sampling.samplesPerPrompt",
        "spec.students[0].arms",
        "spec.students[0].arms",
    ]


def test_yaml_reads_an_exponent_without_a_dot_as_a_number() -> None:
    text = json.dumps(make_document()).replace(
        '"method": {"type": "full"}',
        '"method": {"type": "full"}, "training": {"learningRate": 1e-4}',
    )
    assert load_job(text).spec.students[0].training.learning_rate == 1e-4


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("a: [", r"job\.yaml:1: is no valid YAML", id="broken"),
        pytest.param(
            "a: 1\na: 2", r"job\.yaml:2: is no valid YAML, key 'a' is given twice", id="twice"
        ),
        pytest.param("", r"job\.yaml: must hold one DistillationJob, got 0 documents", id="empty"),
        pytest.param("{a: 1}\n---\n{b: 1}", r"must hold one DistillationJob, got 2", id="two"),
    ],
)
def test_a_text_that_is_no_job_is_refused_with_its_line(text: str, want: str) -> None:
    with pytest.raises(SpecError, match=want):
        load_job(text, source="job.yaml")


def test_overrides_change_fields_and_list_items() -> None:
    job = load_job(
        json.dumps(make_document()),
        overrides=(
            "teacher.sampling.maxTokens=300",
            "spec.students[0].seeds=[5]",
            "metadata.name=other",
        ),
    )
    assert job.spec.teacher_max_tokens == 300
    assert job.spec.students[0].seeds == (5,)
    assert job.metadata.name == "other"


@pytest.mark.parametrize(
    ("override", "want"),
    [
        ("teacher", r"--set: must look like path=value, got 'teacher'"),
        ("students[7].name=a", r"--set: no such place, got 'students\[7\]\.name'"),
        ("task.name=a", r"--set: no such place, got 'task\.name'"),
    ],
)
def test_an_override_that_fits_nowhere_is_refused(override: str, want: str) -> None:
    with pytest.raises(SpecError, match=want):
        load_job(json.dumps(make_document()), overrides=(override,))
