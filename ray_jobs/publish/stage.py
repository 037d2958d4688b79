"""The stage, walked once: gather, compute, copy weights, evaluate merged ones, write, manifest."""

import json
import shutil
from pathlib import Path

from distillery.errors import InvariantError
from distillery.manifests import Artefact
from distillery.progress import Phase
from distillery.results import Promotion, Results, StageCost
from distillery.results_summary import pack_results
from distillery.stage_configs import PublishConfig
from distillery.tasks import PromptVariant
from ray_jobs.answering.asking import Exam, answering, ask
from ray_jobs.answering.rows import Question
from ray_jobs.answering.weights import fetch_trial, is_adapter
from ray_jobs.engines.from_spec import engine_settings
from ray_jobs.publish.cards import build_data_card, build_model_card
from ray_jobs.publish.comparing import comparisons
from ray_jobs.publish.figures import arm_results, primary_scores, trial_results
from ray_jobs.publish.gathering import Gathered, gather
from ray_jobs.publish.notes import find_notes
from ray_jobs.publish.promotion import chosen_trial, describe_choice, judge
from ray_jobs.publish.report import build_report
from ray_jobs.publish.weights import merge_trial, publish_folder
from ray_jobs.scoring import score_answers
from ray_jobs.step import StepResult, StepTools
from ray_jobs.storage.faults import os_faults

PACKAGES = ("pyarrow", "scipy", "matplotlib", "jinja2")
REPORT_NAME = "report.html"
RESULTS_NAME = "results.json"
CARD_NAME = "README.md"


def run(config: PublishConfig, tools: StepTools) -> StepResult:
    """Report, results, cards and weights below the step's prefix.

    Raises:
        ResourceError, ExternalError: Storage failed, or the engine of the merged weights.
    """
    tools.reporter.phase(Phase.STARTING)
    gathered = gather(config, tools)
    chosen = [_choose(student, gathered, config, tools) for student in gathered.students]
    promotions = tuple(promotion for promotion, _ in chosen)
    results = _results(config, tools, gathered, promotions)
    spec = config.settings.spec
    texts = {
        REPORT_NAME: build_report(results, gathered, spec),
        RESULTS_NAME: json.dumps(results.dump(), indent=1) + "\n",
        "data-card.md": build_data_card(results, gathered, spec),
    }
    tools.reporter.phase(Phase.UPLOADING)
    artefacts: list[Artefact] = []
    for promotion, folders in chosen:
        trials = gathered.students[promotion.student].trials
        card = build_model_card(
            results,
            promotion,
            spec,
            choice=describe_choice(trials, promotion.arm),
            num_test_rows=len(gathered.rows),
        )
        for name, folder in folders.items():
            path = f"models/{promotion.student}/{name}"
            with os_faults(str(folder)):
                (folder / CARD_NAME).write_text(card, "utf-8")
            artefacts += publish_folder(tools, config.context.prefix, path, folder)
    artefacts += [_store_text(config, tools, path, text) for path, text in texts.items()]
    if config.context.output_dir:
        for name in (REPORT_NAME, RESULTS_NAME):
            copy = Path(config.context.output_dir) / name
            with os_faults(str(copy)):
                shutil.copyfile(tools.scratch / "out" / name, copy)
    return StepResult(
        artefacts=artefacts,
        summary={"promotions": [each.dump() for each in promotions]},
        packages=PACKAGES,
        verdict=pack_results(results),
    )


def _choose(
    student: str, gathered: Gathered, config: PublishConfig, tools: StepTools
) -> tuple[Promotion, dict[str, Path]]:
    """The verdict on a student, and the folders to publish: the model, and the adapter where one
    was trained; then the merged model is evaluated again."""
    findings = gathered.students[student]
    rule = config.inputs.promote_if
    trial = chosen_trial(findings.trials, rule)
    weights = fetch_trial(trial, tools)
    metric = gathered.task.primary_metric
    if is_adapter(weights):
        folders = {"adapter": weights, "model": merge_trial(student, weights, config, tools)}
        value = _evaluate(student, folders["model"], gathered, config, tools)
    else:
        folders = {"model": weights}
        value = next(
            _mean(primary_scores(rows, metric))
            for evaluation, rows in findings.evaluations
            if (evaluation.arm, evaluation.seed) == (trial.arm, trial.seed)
        )
    promotion = judge(
        student,
        findings,
        rule=rule,
        metric=metric,
        weights_uri=tools.storage.uri_of(f"{config.context.prefix}/models/{student}/model"),
    )
    return promotion.model_copy(update={"merged_value": value}), folders


def _evaluate(
    student: str, folder: Path, gathered: Gathered, config: PublishConfig, tools: StepTools
) -> float:
    """The primary metric of the model in ``folder``, asked as evaluate asked its trials."""
    exam = Exam(
        task=config.inputs.task,
        labels=config.inputs.labels,
        prompts=config.inputs.prompts,
        rows=gathered.rows,
        num_turns=sum(gathered.task.num_turns(row) for row in gathered.rows),
    )
    question = Question(
        variant=PromptVariant.VANILLA, max_tokens=gathered.students[student].max_tokens
    )
    settings = engine_settings(config.settings.engine)
    date = config.inputs.students[student].date
    reporter = tools.reporter
    with answering(folder, settings, date=date, reporter=reporter, is_used_once=True) as actor:
        label = f"{student} merged"
        answered = ask(actor, exam, question, label=label, reporter=tools.reporter)
    predictions = score_answers(
        gathered.task,
        gathered.rows,
        answered.answers,
        truth=gathered.truth,
        form=config.settings.spec.student(student).target,
    )
    return _mean(primary_scores(predictions, gathered.task.primary_metric))


def _results(
    config: PublishConfig, tools: StepTools, gathered: Gathered, promotions: tuple[Promotion, ...]
) -> Results:
    trials = trial_results(gathered)
    found = comparisons(gathered)
    arms = arm_results(gathered) if gathered.students else ()
    return Results(
        job=config.context.job,
        namespace=config.context.namespace,
        task=config.inputs.task,
        metric=gathered.task.primary_metric,
        trials=trials,
        arms=arms,
        comparisons=found,
        promotions=promotions,
        failed_students=config.settings.failed_students,
        costs=_costs(gathered),
        notes=find_notes(gathered, trials, arms, found),
        report_uri=tools.storage.uri_of(f"{config.context.prefix}/{REPORT_NAME}"),
        teacher=config.inputs.teacher.uri,
        data={
            "data": gathered.data.dump(),
            "curation": gathered.curation.dump(),
            "generation": gathered.generation,
        },
    )


def _costs(gathered: Gathered) -> tuple[StageCost, ...]:
    """Generate's, every trial's and every evaluation's own seconds and tokens."""
    generation = gathered.generation
    seconds = generation["seconds"]
    tokens = generation["tokensGenerated"]
    if not isinstance(seconds, dict) or not isinstance(tokens, int):
        raise InvariantError("generate: its summary must have seconds and tokensGenerated")
    costs = [StageCost(step="generate", seconds=float(seconds["steady"]), num_tokens=tokens)]
    for student, findings in gathered.students.items():
        costs += [
            StageCost(
                step=f"train {student} {trial.arm} seed {trial.seed}",
                seconds=trial.seconds,
                num_tokens=trial.tokens,
            )
            for trial in findings.trials
        ]
        costs.append(
            StageCost(
                step=f"evaluate {student}",
                seconds=sum(evaluation.seconds for evaluation, _ in findings.evaluations),
                num_tokens=sum(evaluation.num_tokens for evaluation, _ in findings.evaluations),
            )
        )
    return tuple(costs)


def _store_text(config: PublishConfig, tools: StepTools, path: str, text: str) -> Artefact:
    local = tools.scratch / "out" / path
    with os_faults(str(local)):
        local.parent.mkdir(parents=True, exist_ok=True)
        local.write_text(text, "utf-8")
    stored = tools.storage.put_file(f"{config.context.prefix}/{path}", local)
    if stored.sha256 is None:
        raise InvariantError(f"{path}: storage gave no SHA-256 for an upload")
    return Artefact(path=path, size_bytes=stored.size_bytes, sha256=stored.sha256)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
