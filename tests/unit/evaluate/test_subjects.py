"""Which models are evaluated, and what names each result."""

from distillery.spec.dataset import PromptsSpec
from distillery.spec.engine import Dtype
from distillery.stage_configs import EvaluateInputs, PinnedModel
from distillery.tasks import Arm, PromptVariant, TargetKind, TaskName
from distillery.trials import TrialRef
from ray_jobs.evaluate.subjects import Subject, evaluation_hash, subjects_of


def trial(arm: Arm, seed: int, sha256: str = "a") -> TrialRef:
    return TrialRef(
        arm=arm, seed=seed, prefix="p", sha256=sha256, best_step=1, num_steps=1, seconds=1, tokens=1
    )


INPUTS = EvaluateInputs(
    task=TaskName.MATH,
    labels=(),
    prompts=PromptsSpec(),
    student=PinnedModel(uri="file:///s", digest="d", template_hash="t"),
    target=TargetKind.ANSWER_ONLY,
    base_variants=(PromptVariant.CHAIN_OF_THOUGHT,),
    reference_max_tokens=64,
    engine_type="vllm",
    dtype=Dtype.AUTO,
)


def test_base_comes_first_then_its_reference_rows_then_trials() -> None:
    trials = [trial(Arm.VANILLA, 0), trial(Arm.GOLD, 1)]
    got = subjects_of(trials, [PromptVariant.CHAIN_OF_THOUGHT])
    assert [subject.label for subject in got] == [
        "Base",
        "Base asked ChainOfThought",
        "Vanilla seed 0",
        "Gold seed 1",
    ]


def test_a_result_is_named_by_weights_prompt_budget_and_data_alone() -> None:
    def name(
        subject: Subject, *, inputs: EvaluateInputs = INPUTS, budget: int = 3, data: str = "x"
    ) -> str:
        return evaluation_hash(subject, inputs, max_tokens=budget, data={"prompts": data})

    first = Subject(trial=trial(Arm.VANILLA, 0))
    fewer_references = INPUTS.model_copy(update={"base_variants": ()})
    assert name(first) == name(first, inputs=fewer_references)
    others = {
        name(Subject()),
        name(Subject(variant=PromptVariant.CHAIN_OF_THOUGHT)),
        name(Subject(trial=trial(Arm.VANILLA, 0, sha256="b"))),
        name(first, budget=4),
        name(first, data="y"),
    }
    assert len(others) == 5
    assert name(first) not in others
