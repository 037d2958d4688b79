"""Which models are evaluated, and what names each one's result. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from distillery.manifests import canonical_json, sha256_hex
from distillery.stage_configs import EvaluateInputs
from distillery.tasks import Arm, PromptVariant
from distillery.trials import TrialRef


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A model to evaluate with one prompt: the base (no ``trial``) or a trial."""

    variant: PromptVariant = PromptVariant.VANILLA
    trial: TrialRef | None = None

    @property
    def arm(self) -> Arm:
        """The arm it belongs to."""
        return self.trial.arm if self.trial else Arm.BASE

    @property
    def seed(self) -> int | None:
        """The trial's seed; None for the base."""
        return self.trial.seed if self.trial else None

    @property
    def label(self) -> str:
        """How progress and logs call it."""
        if self.trial:
            return f"{self.arm} seed {self.seed}"
        return "Base" if self.variant == PromptVariant.VANILLA else f"Base asked {self.variant}"


def subjects_of(
    trials: Sequence[TrialRef], base_variants: Sequence[PromptVariant]
) -> tuple[Subject, ...]:
    """Base with the vanilla prompt, base with each reference prompt, then every trial."""
    return (
        Subject(),
        *(Subject(variant=variant) for variant in base_variants),
        *(Subject(trial=trial) for trial in trials),
    )


def evaluation_hash(
    subject: Subject, inputs: EvaluateInputs, *, max_tokens: int, data: Mapping[str, str]
) -> str:
    """What names an evaluation: 16 hex digits over all that decides its predictions.

    Args:
        max_tokens: The longest answer.
        data: Path to SHA-256 of every file of test rows that is read.
    """
    document = {
        "inputs": {key: value for key, value in inputs.dump().items() if key != "baseVariants"},
        "weights": subject.trial.sha256 if subject.trial else inputs.student.digest,
        "variant": subject.variant.value,
        "maxTokens": max_tokens,
        "data": dict(data),
    }
    return sha256_hex(canonical_json(document))[:16]
