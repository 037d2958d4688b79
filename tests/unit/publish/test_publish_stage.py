"""The publish stage over a whole job made by hand: every figure worked out on paper."""

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from distillery.results import Results, results_schema
from ray_jobs.publish.stage import run
from ray_jobs.step import StepResult
from ray_jobs.storage.hashing import HashingReader
from tests.builders import make_document
from tests.killed_writes import walk_kills
from tests.publish_builders import (
    BASE,
    PLANTED,
    REASONED_0,
    REASONED_1,
    VANILLA_0,
    VANILLA_1,
    Upstream,
    make_published,
)

RULE = {"arm": "ChainOfThought", "beats": "Vanilla"}


class Published:
    """What a run left."""

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.result: StepResult = run(upstream.config, upstream.tools)
        self.document: dict[str, Any] = json.loads(upstream.published("results.json"))
        self.report = upstream.published("report.html").decode()

    def comparison(self, arm: str, versus: str, seed: int | None) -> dict[str, Any]:
        found: dict[str, Any]
        (found,) = [
            each
            for each in self.document["comparisons"]
            if (each["arm"], each["versus"], each["seed"]) == (arm, versus, seed)
        ]
        return found


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    root = tmp_path_factory.mktemp("published")
    return Published(make_published(root, evaluation__promoteIf=RULE))


def test_every_model_has_its_row(published: Published) -> None:
    rows = [
        (t["student"], t["arm"], t["seed"], t["value"], t["numUnparsable"], t["numTokens"])
        for t in published.document["trials"]
    ]
    assert rows == [
        ("teacher", "Vanilla", None, 20 / 40, 0, 120),
        ("teacher", "ChainOfThought", None, 36 / 40, 0, 120),
        ("constant", "Constant", None, 5 / 40, 0, 0),
        ("small", "Base", None, 4 / 40, 10, 80),
        ("small", "Base asked ChainOfThought", None, 0.0, 40, 80),
        ("small", "Vanilla", 0, 18 / 40, 0, 80),
        ("small", "Vanilla", 1, 20 / 40, 0, 80),
        ("small", "ChainOfThought", 0, 30 / 40, 0, 80),
        ("small", "ChainOfThought", 1, 34 / 40, 0, 80),
    ]
    assert all(t["metric"] == "exact_match" for t in published.document["trials"])
    assert all(t["numRows"] == 40 for t in published.document["trials"])
    base = published.document["trials"][3]
    assert base["otherMetrics"] == {"exact_match_parsable": 4 / 30, "unparsable_rate": 0.25}
    assert base["ciLow"] < base["value"] < base["ciHigh"]


def test_arms_are_summed_up_over_seeds_with_the_gap_they_close(published: Published) -> None:
    vanilla, reasoned = published.document["arms"]
    # Base 0.1, best teacher prompt 0.9; seeds 0.45 and 0.5, 0.75 and 0.85.
    assert vanilla["mean"] == pytest.approx(0.475)
    assert vanilla["sd"] == pytest.approx(0.05 / 2**0.5)
    assert vanilla["recoveredGap"] == pytest.approx(0.375 / 0.8)
    assert reasoned["mean"] == pytest.approx(0.8)
    assert reasoned["recoveredGap"] == pytest.approx(0.7 / 0.8)
    assert (vanilla["numSeeds"], reasoned["numSeeds"]) == (2, 2)


@pytest.mark.parametrize(
    ("arm", "versus", "seed", "want_difference", "want_p"),
    [
        # Rows right for one of the two alone: 12 and 0.
        pytest.param("ChainOfThought", "Vanilla", 0, 12 / 40, 2 / 2**12, id="one_side"),
        # Rows 20, 21 and rows 0, 1.
        pytest.param("Vanilla", "Teacher Vanilla", 1, 0.0, 1.0, id="even"),
        # Rows 4 to 21 and rows 0, 1: two or fewer of 20, on either side.
        pytest.param(
            "Vanilla", "Base", 1, 16 / 40, 2 * (1 + 20 + 190) / 2**20, id="both_sides"
        ),
        pytest.param("ChainOfThought", "Constant", 0, 25 / 40, 2 / 2**25, id="constant"),
        pytest.param("ChainOfThought", "Vanilla", None, 0.325, None, id="over_seeds"),
    ],
)  # fmt: skip
def test_differences_are_paired(
    published: Published,
    arm: str,
    versus: str,
    seed: int | None,
    want_difference: float,
    want_p: float | None,
) -> None:
    found = published.comparison(arm, versus, seed)
    assert found["difference"] == pytest.approx(want_difference)
    assert found.get("pValue") == (None if want_p is None else pytest.approx(want_p))
    assert found["numRows"] == 40
    assert found["ciLow"] <= found["difference"] <= found["ciHigh"]


def test_rows_in_clusters_get_an_interval_and_no_test_for_independent_rows(tmp_path: Path) -> None:
    found = Published(make_published(tmp_path, group_size=4)).comparison("Vanilla", "Base", 1)
    assert "pValue" not in found
    assert found["ciLow"] < found["difference"] < found["ciHigh"]


def test_every_arm_meets_all_simpler_rows_for_each_seed_and_over_all(published: Published) -> None:
    fixed = ["Base", "Base asked ChainOfThought", "Constant", "Teacher Vanilla"]
    want = [
        (arm, versus, seed)
        for arm, rivals in (("Vanilla", fixed), ("ChainOfThought", [*fixed, "Vanilla"]))
        for versus in rivals
        for seed in (0, 1, None)
    ]
    got = [(c["arm"], c["versus"], c["seed"]) for c in published.document["comparisons"]]
    assert got == want


def test_validation_chooses_the_published_seed_and_not_test(published: Published) -> None:
    (promotion,) = published.document["promotions"]
    assert (promotion["arm"], promotion["seed"]) == ("ChainOfThought", 0)
    assert promotion["mergedValue"] == 30 / 40
    assert promotion["promoted"] is True
    assert promotion["reason"].startswith("ChainOfThought - Vanilla = +0.325, 95% [+0.")
    assert published.result.summary == {"promotions": [promotion]}
    card = published.upstream.published("models/small/model/README.md").decode()
    for text in (published.report, card):
        assert "the seed of the lowest validation loss" in text


def test_the_other_seed_is_published_where_its_validation_loss_is_lower(tmp_path: Path) -> None:
    losses = {REASONED_0: 0.5, REASONED_1: 0.4}
    made = Published(make_published(tmp_path, validation_loss=losses, evaluation__promoteIf=RULE))
    assert made.document["promotions"][0]["seed"] == 1


def test_without_a_rule_the_reasoned_arm_is_published_and_nothing_promoted(tmp_path: Path) -> None:
    made = Published(make_published(tmp_path, validation_loss={}))
    (promotion,) = made.document["promotions"]
    assert (promotion["arm"], promotion["seed"]) == ("ChainOfThought", 0)
    assert promotion["promoted"] is False
    assert promotion["reason"] == "no evaluation.promoteIf in the job"
    for text in (made.report, made.upstream.published("models/small/model/README.md").decode()):
        assert "the first seed, for there were no validation rows" in text


def test_a_rule_that_does_not_hold_promotes_nothing(tmp_path: Path) -> None:
    rule = {"arm": "Vanilla", "beats": "ChainOfThought"}
    made = Published(make_published(tmp_path, evaluation__promoteIf=rule))
    (promotion,) = made.document["promotions"]
    assert promotion["promoted"] is False
    assert promotion["reason"].startswith("Vanilla - ChainOfThought = -0.325, 95% [-0.")


def test_a_reader_is_warned(published: Published) -> None:
    assert published.document["notes"] == [
        "validation has few rows",
        "only 40 test rows: this shows that the path works, not how good a model is; read the "
        "intervals",
        "validation loss is measured on labels of the arm's own teacher prompt: it is agreement "
        "with those labels, not accuracy",
        "small ChainOfThought (0.800) is above the teacher asked Vanilla (0.500) and not above the "
        "teacher asked ChainOfThought (0.900), whose answers taught it",
        "25% of small Base answers could not be read: part of any gain over Base is the learnt "
        "form, not knowledge; compare the parsable rows",
    ]


def test_results_follow_their_schema_and_read_back(published: Published) -> None:
    schema = results_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(published.document)
    for trial in published.document["trials"]:
        assert "seed" in trial
    read = Results.model_validate_json(published.upstream.published("results.json"))
    assert read.dump() == published.document


def test_costs_are_each_steps_own(published: Published) -> None:
    costs = [(c["step"], c["seconds"], c["numTokens"]) for c in published.document["costs"]]
    assert costs == [
        ("generate", 12.5, 240),
        ("train small Vanilla seed 0", 5.0, 500),
        ("train small Vanilla seed 1", 5.0, 500),
        ("train small ChainOfThought seed 0", 5.0, 500),
        ("train small ChainOfThought seed 1", 5.0, 500),
        ("evaluate small", 9.0, 480),
    ]


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def tags_of(html: str) -> Iterator[tuple[str, dict[str, str | None]]]:
    parser = _Tags()
    parser.feed(html)
    yield from parser.found


def test_the_report_loads_nothing(published: Published) -> None:
    tags = list(tags_of(published.report))
    assert not {tag for tag, _ in tags} & {"script", "link", "iframe", "object", "embed", "base"}
    loaded = [
        value
        for _, attributes in tags
        for name, value in attributes.items()
        if name in ("src", "href", "xlink:href", "data", "action")
    ]
    assert [value for value in loaded if not (value or "").startswith("#")] == []
    assert re.findall(r"url\((?!#)|@import", published.report) == []
    assert published.report.count("<svg") == 4


def test_texts_of_data_are_escaped_in_the_report(published: Published) -> None:
    assert PLANTED not in published.report
    assert "&lt;b&gt;bold&lt;/b&gt;&lt;script&gt;" in published.report


def test_the_report_shows_what_the_results_hold(published: Published) -> None:
    for text in (
        "teacher file:///teacher",
        "always &ldquo;7&rdquo;",
        "87.5%",
        "not a number alone (2)",
        "duplicate (2)",
        "<pre>It is &lt;i&gt;105&lt;/i&gt;</pre>",
        "pyarrow 26.0.1",
        "task: MATH",
    ):
        assert text in published.report


def test_the_same_upstream_gives_the_same_report(tmp_path: Path) -> None:
    first = Published(make_published(tmp_path))
    second = run(first.upstream.config, first.upstream.tools)
    assert [each.sha256 for each in second.artefacts] == [
        each.sha256 for each in first.result.artefacts
    ]


@pytest.mark.parametrize("path", ["models/small/model/README.md", "data-card.md"])
def test_cards_begin_with_front_matter(published: Published, path: str) -> None:
    _, head, text = published.upstream.published(path).decode().split("---\n", 2)
    assert "distillation" in yaml.safe_load(head)["tags"]
    assert text.lstrip().startswith("# ")


def test_the_model_card_has_the_published_weights_figure(published: Published) -> None:
    card = published.upstream.published("models/small/model/README.md").decode()
    head = yaml.safe_load(card.split("---\n", 2)[1])
    assert head == {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["distillation", "synthetic-data", "math"],
    }
    assert "# small: ChainOfThought seed 0" in card
    assert "`exact_match` of these weights: **0.750**." in card
    assert "| small | ChainOfThought | 1 | 0.850 |" in card
    assert "Measured on 40 test rows" in card


def test_a_base_from_the_hub_is_named_on_the_card(tmp_path: Path) -> None:
    made = Published(make_published(tmp_path, students__0__model={"uri": "hf://owner/name"}))
    card = made.upstream.published("models/small/model/README.md").decode()
    assert yaml.safe_load(card.split("---\n", 2)[1])["base_model"] == "owner/name"


def test_every_artefact_is_stored_as_named(published: Published) -> None:
    paths = [artefact.path for artefact in published.result.artefacts]
    assert sorted(paths) == [
        "data-card.md",
        "models/small/model/README.md",
        "models/small/model/config.json",
        "models/small/model/model.safetensors",
        "report.html",
        "results.json",
    ]
    prefix = published.upstream.config.context.prefix
    for artefact in published.result.artefacts:
        with published.upstream.tools.storage.open_read(f"{prefix}/{artefact.path}") as stream:
            reader = HashingReader(stream)
            assert len(reader.read()) == artefact.size_bytes
        assert reader.sha256 == artefact.sha256
    assert published.upstream.published("models/small/model/model.safetensors") == b"weights"


def test_report_and_results_are_copied_to_the_runs_folder(published: Published) -> None:
    for name in ("report.html", "results.json"):
        copy = (published.upstream.output / name).read_bytes()
        assert copy == published.upstream.published(name)


def test_a_failed_student_is_named_and_the_others_are_published(tmp_path: Path) -> None:
    first = make_document()["spec"]["students"][0]
    failed = {"other": "train: <out of memory>"}
    made = Published(
        make_published(
            tmp_path, failed_students=failed, students=[first, {**first, "name": "other"}]
        )
    )
    assert made.document["failedStudents"] == {"other": "train: <out of memory>"}
    assert [p["student"] for p in made.document["promotions"]] == ["small"]
    assert "<b>other</b>: train: &lt;out of memory&gt;" in made.report
    jsonschema.validate(made.document, results_schema())


def test_without_any_student_the_teachers_rows_are_published(tmp_path: Path) -> None:
    made = Published(make_published(tmp_path, failed_students={"small": "train: broke"}))
    assert [(t["student"], t["arm"]) for t in made.document["trials"]] == [
        ("teacher", "Vanilla"),
        ("teacher", "ChainOfThought"),
        ("constant", "Constant"),
    ]
    assert made.document["arms"] == []
    assert made.document["comparisons"] == []
    assert [a.path for a in made.result.artefacts] == [
        "report.html",
        "results.json",
        "data-card.md",
    ]
    jsonschema.validate(made.document, results_schema())
    assert "<b>small</b>: train: broke" in made.report


def test_one_seed_without_a_gain_is_said(tmp_path: Path) -> None:
    right = {BASE: range(4), VANILLA_0: range(5)}
    made = Published(make_published(tmp_path, right=right))
    assert {c["seed"] for c in made.document["comparisons"]} == {0}
    (note,) = [note for note in made.document["notes"] if "no gain" in note]
    assert note.startswith("small Vanilla shows no gain over Base: +0.025, interval [+0.000, +0.")


def test_dialogues_are_measured_by_turn_and_need_no_gold(tmp_path: Path) -> None:
    made = Published(
        make_published(
            tmp_path,
            right={BASE: range(4), VANILLA_0: range(18), VANILLA_1: range(2, 22)},
            task="CONVERSATION",
            teacher__prompts=["Vanilla"],
            students__0__arms=["Vanilla"],
        )
    )
    # A right row repeats the teacher's reply in both turns, a wrong one shares no word with it.
    rows = [(t["student"], t["arm"], t["value"], t["numRows"]) for t in made.document["trials"]]
    assert rows == [
        ("teacher", "Vanilla", 1.0, 40),
        ("small", "Base", 4 / 40, 40),
        ("small", "Vanilla", 18 / 40, 40),
        ("small", "Vanilla", 20 / 40, 40),
    ]
    assert made.comparison("Vanilla", "Base", None)["difference"] == pytest.approx(0.375)
    assert any("the teacher's own row is 1 by definition" in n for n in made.document["notes"])
    jsonschema.validate(made.document, results_schema())


@pytest.mark.heavy
def test_a_publish_killed_before_any_write_is_not_finished(tmp_path: Path) -> None:
    upstream = make_published(tmp_path)
    assert walk_kills(upstream.config, tmp_path, tmp_path / "store") >= 5
    assert upstream.published("report.html")
